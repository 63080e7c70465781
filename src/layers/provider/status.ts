/**
 * From what an upstream answered to the reason of our error: by HTTP status,
 * by the codes in its body, and by `x-should-retry`.
 *
 * Sources: OpenAI, Azure OpenAI and Anthropic error pages, openai-node's retry
 * rules (2026-11).
 */
import type { ProviderReason } from "../../domain/errors.ts"
import { isObject, parse, stringOf } from "./json.ts"

/** What an error body says, whatever its shape. */
export interface UpstreamFault {
  readonly message: string
  readonly type: string | undefined
  readonly code: string | undefined
  readonly param: string | undefined
}

/** Reads the bodies of OpenAI, Azure and Anthropic (`error` object), vLLM and FastAPI (`message`, `detail`), and plain text. */
export const faultOfText = (text: string, fallback: string): UpstreamFault => {
  const value = parse(text)
  if (value !== undefined) return faultOf(value, fallback)
  const plain = text.trim()
  // A proxy's HTML page says nothing that its status does not.
  return fault(plain === "" || plain.startsWith("<") ? fallback : plain)
}

/** The same for a parsed body or an in-band frame. */
export const faultOf = (value: unknown, fallback: string): UpstreamFault => {
  if (!isObject(value)) return fault(stringOf(value) ?? fallback)
  const inner = isObject(value["error"]) ? value["error"] : value
  const message =
    stringOf(inner["message"]) ?? stringOf(value["error"]) ?? stringOf(value["message"]) ?? detailOf(value["detail"])
  const code = inner["code"]
  return {
    message: message === undefined || message === "" ? fallback : message,
    type: stringOf(inner["type"]),
    code: typeof code === "number" ? String(code) : stringOf(code),
    param: stringOf(inner["param"])
  }
}

const fault = (message: string): UpstreamFault => ({ message, type: undefined, code: undefined, param: undefined })

const detailOf = (detail: unknown): string | undefined =>
  stringOf(detail) ?? (detail === undefined ? undefined : JSON.stringify(detail))

const quotaCodes = new Set(["insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "billing_error"])
// Anthropic tells of an empty account by a 400 without a code of its own.
const emptyAccount = /credit balance is too low/i

const isQuota = (f: UpstreamFault): boolean =>
  quotaCodes.has(f.code ?? "") || quotaCodes.has(f.type ?? "") || emptyAccount.test(f.message)

const isOverload = (f: UpstreamFault): boolean =>
  f.type === "overloaded_error" || f.code === "server_is_overloaded" || f.code === "overloaded_error"

/** Retry advice that came with an answer. `shouldRetry` is `x-should-retry`. */
export interface Advice {
  readonly retryAfterMs: number | undefined
  readonly shouldRetry: boolean | undefined
}

/** No advice. */
export const noAdvice: Advice = { retryAfterMs: undefined, shouldRetry: undefined }

type Tag = Exclude<ProviderReason["_tag"], "Unreachable" | "Timeout" | "Truncated" | "BrokenFrame" | "BadResponse">

/** The tag for a status. 408 and 504 are the upstream's own timeouts, not one of our phases: server errors, as is 409 (a lock conflict, which SDKs retry). */
const tagOf = (status: number, f: UpstreamFault): Tag => {
  if (status === 402 || isQuota(f)) return "QuotaExhausted"
  switch (status) {
    case 401:
      return "Authentication"
    case 403:
    case 451:
      return "PermissionDenied"
    case 404:
      return "NotFound"
    case 413:
      return "TooLarge"
    case 408:
    case 409:
    case 425:
      return "ServerError"
    case 429:
      return "RateLimited"
    case 503:
    case 529:
      return "Overloaded"
    default:
      return status >= 500 ? (isOverload(f) ? "Overloaded" : "ServerError") : "BadRequest"
  }
}

/**
 * The reason for an answer with an error status.
 *
 * `x-should-retry: false` makes a retryable reason final for this upstream: a
 * 429 becomes `QuotaExhausted`, a 5xx becomes `PermissionDenied` ("it will not
 * serve us now"). Both mean: no retry, no verdict against its health, the next
 * candidate may try, and the client is told not to retry. `true` changes
 * nothing: our own budget decides.
 */
export const reasonOf = (status: number, f: UpstreamFault, advice: Advice, redact: (text: string) => string) => {
  if (status < 400) {
    return { _tag: "BadResponse", detail: `unexpected HTTP status ${status}` } satisfies ProviderReason
  }
  const tag = tagOf(status, f)
  return build(advice.shouldRetry === false ? final(tag, status) : tag, f, advice, redact, status)
}

const final = (tag: Tag, status: number): Tag =>
  tag === "RateLimited"
    ? "QuotaExhausted"
    : tag === "Overloaded" || tag === "ServerError"
      ? status < 500
        ? "BadRequest"
        : "PermissionDenied"
      : tag

/** The reason for an error that came inside an answer that had begun with 200. */
export const inBandReasonOf = (f: UpstreamFault, redact: (text: string) => string): ProviderReason =>
  build(
    isQuota(f)
      ? "QuotaExhausted"
      : isOverload(f)
        ? "Overloaded"
        : f.type === "rate_limit_error" || f.code === "rate_limit_exceeded" || f.code === "429"
          ? "RateLimited"
          : f.type === "invalid_request_error"
            ? "BadRequest"
            : "StreamError",
    f,
    noAdvice,
    redact
  )

const build = (
  tag: Tag,
  f: UpstreamFault,
  advice: Advice,
  redact: (text: string) => string,
  status?: number
): ProviderReason => {
  const fields = {
    detail: redact(f.message),
    ...(status === undefined ? {} : { status }),
    ...(f.code === undefined ? {} : { code: redact(f.code) }),
    ...(f.param === undefined ? {} : { param: redact(f.param) })
  }
  switch (tag) {
    case "RateLimited":
    case "Overloaded":
    case "ServerError":
    case "StreamError":
      return advice.retryAfterMs === undefined
        ? { _tag: tag, ...fields }
        : { _tag: tag, ...fields, retryAfterMs: advice.retryAfterMs }
    default:
      return { _tag: tag, ...fields }
  }
}
