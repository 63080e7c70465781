/**
 * When an upstream wants to be asked again, in all the forms that are sent:
 * `retry-after-ms` (OpenAI, Azure), `retry-after` as seconds, whole or
 * fractional, or as an HTTP date. Anything else is ignored.
 *
 * Source: RFC 9110 section 10.2.3 and 5.6.7; openai-node's retry rules (2026-08).
 */

/** A header's value by lower-case name. */
export type Header = (name: string) => string | undefined

const decimal = /^\d+(?:\.\d+)?$/
// Three forms of HTTP dates begin with a day's name. Without this check Date.parse takes nearly any text with a digit for a date.
const httpDate = /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? /

/** Milliseconds from `nowMs` (epoch ms) until the upstream may be asked again; 0 for a time that has passed, `undefined` where nothing usable was sent. */
export const fromHeaders = (header: Header, nowMs: number): number | undefined => {
  const millis = header("retry-after-ms")?.trim()
  if (millis !== undefined && decimal.test(millis)) return finite(Number(millis))
  const value = header("retry-after")?.trim()
  if (value === undefined) return undefined
  if (decimal.test(value)) return finite(Number(value) * 1_000)
  if (!httpDate.test(value)) return undefined
  // asctime's form has no zone; it means GMT.
  const atMs = Date.parse(value.endsWith("GMT") ? value : `${value} GMT`)
  return Number.isNaN(atMs) ? undefined : Math.max(0, atMs - nowMs)
}

const finite = (ms: number): number | undefined => (Number.isFinite(ms) ? ms : undefined)
