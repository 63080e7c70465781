/**
 * One table for what every error reason means: to the client (HTTP status,
 * OpenAI's `type` and `code`, whether to try again), to the request's own loop
 * (retry, next candidate, stop) and to the breaker (counts or not).
 *
 * Sources: OpenAI error codes guide and openai-node's retry rules (2026-11);
 * LLM-specific breaker rules: client errors, own cancellations, local refusals
 * and 429 never count as provider failures.
 */
import type { BallastError } from "./errors.ts"

/** What the request's loop does next: `retry` the same candidate after a pause, go to the `next` candidate at once, or `stop`. */
export type NextStep = "retry" | "next" | "stop"

/** A row of the table. `clientRetry` becomes `x-should-retry`; `breaker` says whether the breaker counts it as a failure. */
export interface ErrorRow {
  readonly status: number
  readonly type: string
  readonly code: string
  readonly clientRetry: boolean
  readonly next: NextStep
  readonly breaker: boolean
}

const row = (
  status: number,
  type: string,
  code: string,
  clientRetry: boolean,
  next: NextStep,
  breaker = false
): ErrorRow => ({ status, type, code, clientRetry, next, breaker })

type Reasons<E> = E extends {
  readonly _tag: infer T extends string
  readonly reason: { readonly _tag: infer R extends string }
}
  ? `${T}.${R}`
  : never

/** `Error.Reason`, for every reason of every error. */
export type ErrorKey = Reasons<BallastError>

const invalid = "invalid_request_error"
const server = "server_error"

/** The table itself. The compiler refuses a reason without a row. */
export const errorTable: { readonly [K in ErrorKey]: ErrorRow } = {
  "RequestError.InvalidJson": row(400, invalid, "invalid_json", false, "stop"),
  "RequestError.InvalidField": row(400, invalid, "invalid_value", false, "stop"),
  "RequestError.UnknownModel": row(404, invalid, "model_not_found", false, "stop"),
  "RequestError.WrongKind": row(400, invalid, "unsupported_model", false, "stop"),
  "RequestError.ContextTooLong": row(400, invalid, "context_length_exceeded", false, "stop"),
  "RequestError.BodyTooLarge": row(413, invalid, "request_too_large", false, "stop"),
  "RequestError.BodyTimeout": row(408, invalid, "request_timeout", true, "stop"),
  "RequestError.NoSuchRoute": row(404, invalid, "unknown_url", false, "stop"),
  "RequestError.MethodNotAllowed": row(405, invalid, "method_not_allowed", false, "stop"),
  "AuthError.MissingKey": row(401, invalid, "invalid_api_key", false, "stop"),
  "AuthError.UnknownKey": row(401, invalid, "invalid_api_key", false, "stop"),
  "AuthError.ExpiredKey": row(401, invalid, "invalid_api_key", false, "stop"),
  "AuthError.RevokedKey": row(401, invalid, "invalid_api_key", false, "stop"),
  "AuthError.Forbidden": row(403, "permission_denied_error", "insufficient_permissions", false, "stop"),
  "AuthError.Unavailable": row(503, "service_unavailable_error", "authentication_unavailable", true, "stop"),
  "KillSwitchError.Off": row(503, "service_unavailable_error", "feature_disabled", false, "next"),
  "RateLimitError.Exceeded": row(429, "rate_limit_error", "rate_limit_exceeded", true, "stop"),
  "RateLimitError.NeverFits": row(400, invalid, "request_exceeds_limit", false, "stop"),
  "LeaseError.Exceeded": row(429, "rate_limit_error", "concurrency_limit_exceeded", true, "stop"),
  "LeaseError.Lost": row(503, "service_unavailable_error", "lease_lost", true, "stop"),
  "BudgetError.Exhausted": row(429, "insufficient_quota", "insufficient_quota", false, "stop"),
  "BudgetError.NeverFits": row(400, invalid, "request_exceeds_budget", false, "stop"),
  "BudgetError.Unavailable": row(503, "service_unavailable_error", "budget_unavailable", true, "stop"),
  "IdempotencyError.InvalidKey": row(400, invalid, "invalid_idempotency_key", false, "stop"),
  "IdempotencyError.InFlight": row(409, invalid, "idempotency_key_in_flight", true, "stop"),
  "IdempotencyError.OtherBody": row(422, invalid, "idempotency_key_reused", false, "stop"),
  "BulkheadError.QueueFull": row(503, "service_unavailable_error", "server_is_overloaded", true, "next"),
  "BulkheadError.QueueTimeout": row(503, "service_unavailable_error", "server_is_overloaded", true, "next"),
  "PacerError.NoRoom": row(503, "service_unavailable_error", "provider_rate_limited", true, "next"),
  "PacerError.Paused": row(503, "service_unavailable_error", "provider_rate_limited", true, "next"),
  "DeadlineError.Exceeded": row(504, server, "deadline_exceeded", true, "stop"),
  "CircuitBreakerError.Open": row(503, "service_unavailable_error", "provider_unavailable", true, "next"),
  "CircuitBreakerError.Probing": row(503, "service_unavailable_error", "provider_unavailable", true, "next"),
  "ProviderError.RateLimited": row(429, "rate_limit_error", "rate_limit_exceeded", true, "retry"),
  "ProviderError.QuotaExhausted": row(429, "insufficient_quota", "insufficient_quota", false, "next"),
  "ProviderError.Overloaded": row(503, "service_unavailable_error", "server_is_overloaded", true, "retry", true),
  "ProviderError.ServerError": row(502, server, "upstream_error", true, "retry", true),
  "ProviderError.BadRequest": row(400, invalid, "invalid_request", false, "stop"),
  "ProviderError.Authentication": row(502, server, "upstream_authentication", false, "next"),
  "ProviderError.PermissionDenied": row(502, server, "upstream_permission", false, "next"),
  "ProviderError.NotFound": row(502, server, "upstream_model_not_found", false, "next"),
  "ProviderError.TooLarge": row(413, invalid, "request_too_large", false, "stop"),
  "ProviderError.Unreachable": row(502, server, "upstream_unreachable", true, "retry", true),
  "ProviderError.Timeout": row(504, server, "upstream_timeout", true, "retry", true),
  "ProviderError.Truncated": row(502, server, "upstream_truncated", true, "retry", true),
  "ProviderError.BrokenFrame": row(502, server, "upstream_broken_frame", true, "retry", true),
  "ProviderError.BadResponse": row(502, server, "upstream_bad_response", true, "retry", true),
  "ProviderError.StreamError": row(502, server, "upstream_stream_error", true, "retry", true),
  "ShutdownError.Draining": row(503, "service_unavailable_error", "shutting_down", true, "stop")
}

/** `Error.Reason` of an error. */
export const keyOf = (error: BallastError): ErrorKey =>
  // A template of the two tags is exactly an ErrorKey; TypeScript widens it to string.
  `${error._tag}.${error.reason._tag}` as ErrorKey

/** Whether anybody's failure is one of ours, with a row in the table. */
export const isBallastError = (error: unknown): error is BallastError =>
  isTagged(error) &&
  "reason" in error &&
  isTagged(error.reason) &&
  Object.hasOwn(errorTable, `${error._tag}.${error.reason._tag}`)

const isTagged = (value: unknown): value is { readonly _tag: string } =>
  typeof value === "object" && value !== null && "_tag" in value && typeof value._tag === "string"

/** The table's row for a key. */
export const rowOfKey = (key: ErrorKey): ErrorRow => errorTable[key]

/** The table's row for an error. */
export const rowOf = (error: BallastError): ErrorRow => errorTable[keyOf(error)]

/** When to try again, in ms from now, where the error knows it; `undefined` where it does not. */
export const retryAfterMs = (error: BallastError): number | undefined =>
  "retryAfterMs" in error.reason ? error.reason.retryAfterMs : undefined

/** What an operator adds to refusals: a text for people, and where they find more. */
export interface Help {
  readonly message?: string
  readonly link?: string
}

/** OpenAI's error body. `help` and `help_url` are the operator's own. */
export interface ErrorBody {
  readonly error: {
    readonly message: string
    readonly type: string
    readonly param: string | null
    readonly code: string
    readonly request_id?: string
    readonly help?: string
    readonly help_url?: string
  }
}

/** `help` as fields of an error object or a banner. */
export const helpFields = ({ link, message }: Help): { readonly help?: string; readonly help_url?: string } => ({
  ...(message === undefined ? {} : { help: message }),
  ...(link === undefined ? {} : { help_url: link })
})

/** Whether an HTTP status is a refusal for want of capacity, ours or a provider's, and not a client's mistake. */
export const isRefusal = (status: number): boolean => status === 429 || status >= 500

/**
 * The body a client gets: OpenAI's error object, with the request id beside it.
 * A refusal that is not the client's own mistake also carries the operator's
 * `help`; its text leads the message, which is all that most clients show.
 */
export const errorBody = (
  error: BallastError,
  requestId: string | undefined = error.requestId,
  help?: Help
): ErrorBody => {
  const { code, status, type } = rowOf(error)
  const added = help !== undefined && isRefusal(status) ? help : undefined
  const reason = error.reason
  // The provider's own code and param only where it judged the client's request, not our key or our configuration.
  const judged = !("provider" in error) || reason._tag === "BadRequest" || reason._tag === "TooLarge"
  const upstreamCode = judged && "code" in reason && typeof reason.code === "string" ? reason.code : undefined
  const param =
    judged && "param" in reason && typeof reason.param === "string"
      ? reason.param
      : reason._tag === "UnknownModel" || reason._tag === "WrongKind"
        ? "model"
        : reason._tag === "ContextTooLong"
          ? "messages"
          : null
  return {
    error: {
      message: added?.message === undefined ? error.message : `${added.message} (${error.message})`,
      type,
      param,
      code: upstreamCode ?? code,
      ...(requestId === undefined ? {} : { request_id: requestId }),
      ...(added === undefined ? {} : helpFields(added))
    }
  }
}
