/**
 * The error family: one tagged error for each module, each with a tagged
 * `reason`. What a reason means to a client, to the retry loop and to the
 * breaker stands in one table, `error-table.ts`.
 *
 * `requestId` is the id the client sees in `x-request-id`. Handle one reason
 * with `Effect.catchReason("RateLimitError", "Exceeded", (reason) => …)`.
 */
import { Schema } from "effect"

const Millis = Schema.Finite
const reason = Schema.TaggedStruct
const requestId = Schema.optionalKey(Schema.String)

/** The request itself cannot be served: nothing was called upstream, nothing was charged. */
export class RequestError extends Schema.TaggedError<RequestError>()("RequestError", {
  requestId,
  reason: Schema.Union([
    reason("InvalidJson", { detail: Schema.String }),
    reason("InvalidField", { param: Schema.NullOr(Schema.String), detail: Schema.String }),
    reason("UnknownModel", { model: Schema.String }),
    reason("WrongKind", { model: Schema.String, detail: Schema.String }),
    reason("ContextTooLong", { model: Schema.String, tokens: Schema.Int, limit: Schema.Int }),
    reason("BodyTooLarge", { limitBytes: Schema.Int }),
    reason("BodyTimeout", { afterMs: Millis }),
    reason("NoSuchRoute", { method: Schema.String, path: Schema.String }),
    reason("MethodNotAllowed", { method: Schema.String, allow: Schema.String })
  ])
}) {
  override get message(): string {
    const r = this.reason
    switch (r._tag) {
      case "InvalidJson":
        return `The body is not valid JSON: ${r.detail}`
      case "InvalidField":
        return r.param === null ? r.detail : `Invalid '${r.param}': ${r.detail}`
      case "UnknownModel":
        return `The model '${r.model}' does not exist or you have no access to it. GET /v1/models lists the models.`
      case "WrongKind":
        return `The model '${r.model}' ${r.detail}`
      case "ContextTooLong":
        return `This model's maximum context length is ${r.limit} tokens, but the request needs ${r.tokens} tokens. Shorten the messages or lower max_tokens.`
      case "BodyTooLarge":
        return `The body is larger than ${r.limitBytes} bytes.`
      case "BodyTimeout":
        return `The body did not arrive within ${r.afterMs} ms.`
      case "NoSuchRoute":
        return `Unknown request URL: ${r.method} ${r.path}`
      case "MethodNotAllowed":
        return `${r.method} is not allowed here; use ${r.allow}.`
    }
  }
}

/** The caller could not be identified. */
export class AuthError extends Schema.TaggedError<AuthError>()("AuthError", {
  requestId,
  reason: Schema.Union([reason("MissingKey", {}), reason("UnknownKey", {})])
}) {
  override get message(): string {
    return this.reason._tag === "MissingKey"
      ? "No API key given. Send it as 'Authorization: Bearer KEY'."
      : "Incorrect API key provided."
  }
}

/** An operator switched this feature, model or provider off. */
export class KillSwitchError extends Schema.TaggedError<KillSwitchError>()("KillSwitchError", {
  requestId,
  reason: reason("Off", {
    kind: Schema.Literals(["all", "feature", "model", "provider", "tenant"]),
    target: Schema.String,
    note: Schema.optionalKey(Schema.String)
  })
}) {
  override get message(): string {
    const { kind, note, target } = this.reason
    return `Switched off by the operator (${kind}${kind === "all" ? "" : ` '${target}'`})${note === undefined ? "." : `: ${note}`}`
  }
}

/** What a rate limit counts. */
export const LimitUnit = Schema.Literals(["requests", "tokens"])
export type LimitUnit = typeof LimitUnit.Type

/** A rate limit of the caller is used up (`Exceeded`), or the request is larger than the limit ever allows (`NeverFits`). */
export class RateLimitError extends Schema.TaggedError<RateLimitError>()("RateLimitError", {
  requestId,
  reason: Schema.Union([
    reason("Exceeded", {
      dimension: Schema.String,
      unit: LimitUnit,
      limit: Schema.Finite,
      windowMs: Millis,
      retryAfterMs: Millis
    }),
    reason("NeverFits", { dimension: Schema.String, unit: LimitUnit, limit: Schema.Finite, asked: Schema.Finite })
  ])
}) {
  override get message(): string {
    const r = this.reason
    return r._tag === "Exceeded"
      ? `Rate limit reached for ${r.dimension}: ${r.limit} ${r.unit} per ${r.windowMs / 1000} s. Try again in ${Math.ceil(r.retryAfterMs)} ms.`
      : `This request needs ${r.asked} ${r.unit}, more than the limit of ${r.limit} for ${r.dimension} allows at once. Make it smaller.`
  }
}

/** No place before the provider: the queue is full, or the wait was too long. */
export class BulkheadError extends Schema.TaggedError<BulkheadError>()("BulkheadError", {
  requestId,
  reason: Schema.Union([
    reason("QueueFull", { key: Schema.String, retryAfterMs: Millis }),
    reason("QueueTimeout", { key: Schema.String, waitedMs: Millis, retryAfterMs: Millis })
  ])
}) {
  override get message(): string {
    const r = this.reason
    return r._tag === "QueueFull"
      ? `Too many requests are waiting for '${r.key}'. Try again in ${Math.ceil(r.retryAfterMs)} ms.`
      : `No place at '${r.key}' within ${Math.round(r.waitedMs)} ms. Try again in ${Math.ceil(r.retryAfterMs)} ms.`
  }
}

/** The one deadline of the request has passed, or the next step cannot finish before it. */
export class DeadlineError extends Schema.TaggedError<DeadlineError>()("DeadlineError", {
  requestId,
  reason: reason("Exceeded", { stage: Schema.String, budgetMs: Millis })
}) {
  override get message(): string {
    return `No answer within ${Math.round(this.reason.budgetMs)} ms (in stage '${this.reason.stage}').`
  }
}

/** The breaker of this candidate refuses. */
export class CircuitBreakerError extends Schema.TaggedError<CircuitBreakerError>()("CircuitBreakerError", {
  requestId,
  reason: Schema.Union([
    reason("Open", { key: Schema.String, retryAfterMs: Millis }),
    reason("Probing", { key: Schema.String, retryAfterMs: Millis })
  ])
}) {
  override get message(): string {
    return `The circuit of '${this.reason.key}' is ${this.reason._tag === "Open" ? "open" : "probing"}. Try again in ${Math.ceil(this.reason.retryAfterMs)} ms.`
  }
}

/** Which of the three stream timeouts, or the wait for the connection, ran out. */
export const TimeoutPhase = Schema.Literals(["connect", "first token", "idle", "total"])
export type TimeoutPhase = typeof TimeoutPhase.Type

const upstream = {
  status: Schema.optionalKey(Schema.Int),
  detail: Schema.String,
  code: Schema.optionalKey(Schema.NullOr(Schema.String)),
  param: Schema.optionalKey(Schema.NullOr(Schema.String))
}
const retryAfterMs = Schema.optionalKey(Millis)

/** Everything an upstream can do wrong. `detail` is the upstream's own message with secrets removed. */
export const ProviderReason = Schema.Union([
  reason("RateLimited", { ...upstream, retryAfterMs }),
  reason("QuotaExhausted", { ...upstream }),
  reason("Overloaded", { ...upstream, retryAfterMs }),
  reason("ServerError", { ...upstream, retryAfterMs }),
  reason("BadRequest", { ...upstream }),
  reason("Authentication", { ...upstream }),
  reason("PermissionDenied", { ...upstream }),
  reason("NotFound", { ...upstream }),
  reason("TooLarge", { ...upstream }),
  reason("Unreachable", { detail: Schema.String }),
  reason("Timeout", { phase: TimeoutPhase, afterMs: Millis }),
  reason("Truncated", { detail: Schema.String }),
  reason("BrokenFrame", { detail: Schema.String }),
  reason("BadResponse", { detail: Schema.String }),
  reason("StreamError", { ...upstream, retryAfterMs })
])
export type ProviderReason = typeof ProviderReason.Type

/** A call to a provider failed. */
export class ProviderError extends Schema.TaggedError<ProviderError>()("ProviderError", {
  requestId,
  provider: Schema.String,
  reason: ProviderReason
}) {
  override get message(): string {
    const r = this.reason
    switch (r._tag) {
      case "Timeout":
        return `Provider '${this.provider}' gave no ${r.phase === "total" ? "complete answer" : r.phase === "idle" ? "further chunk" : r.phase === "connect" ? "connection" : "first token"} within ${Math.round(r.afterMs)} ms.`
      case "Truncated":
        return `The stream of provider '${this.provider}' ended before it was complete: ${r.detail}`
      case "Unreachable":
        return `Provider '${this.provider}' cannot be reached: ${r.detail}`
      default:
        return `Provider '${this.provider}': ${r.detail}`
    }
  }
}

/** The server is on its way down and takes no new work. */
export class ShutdownError extends Schema.TaggedError<ShutdownError>()("ShutdownError", {
  requestId,
  reason: reason("Draining", { retryAfterMs: Millis })
}) {
  override get message(): string {
    return "The server is shutting down. Try again; another one will answer."
  }
}

/** Everything that `complete` and `embed` can fail with. */
export type CompleteError =
  | RequestError
  | KillSwitchError
  | RateLimitError
  | BulkheadError
  | DeadlineError
  | CircuitBreakerError
  | ProviderError

/** Everything that the server can answer with. */
export type BallastError = CompleteError | AuthError | ShutdownError
