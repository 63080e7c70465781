/**
 * W3C Trace Context, version 00: reading `traceparent`.
 *
 * Source: https://www.w3.org/TR/trace-context/ (sections 3.2, 3.3). A header
 * that breaks any rule is ignored whole, as the recommendation asks.
 */
import type { TraceContext } from "../../services/request-record.ts"

const pattern = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/u

/** The caller's context, or `undefined` where the header is absent or invalid. */
export const parse = (header: string | undefined): TraceContext | undefined => {
  const match = header === undefined ? null : pattern.exec(header)
  if (match === null) return undefined
  const [, version = "", traceId = "", spanId = "", flags = "", more] = match
  if (version === "ff" || (version === "00" && more !== undefined)) return undefined
  if (/^0+$/u.test(traceId) || /^0+$/u.test(spanId)) return undefined
  return { traceId, spanId, sampled: (Number.parseInt(flags, 16) & 1) === 1, incoming: true }
}
