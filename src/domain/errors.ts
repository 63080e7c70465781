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

/**
 * The caller could not be identified, or may not do what it asks for.
 * `Unavailable`: the key is not in this process's memory, and the store that
 * knows it cannot be asked.
 */
export class AuthError extends Schema.TaggedError<AuthError>()("AuthError", {
  requestId,
  reason: Schema.Union([
    reason("MissingKey", {}),
    reason("UnknownKey", {}),
    reason("ExpiredKey", {}),
    reason("RevokedKey", {}),
    reason("Forbidden", { scope: Schema.String }),
    reason("Unavailable", { retryAfterMs: Millis })
  ])
}) {
  override get message(): string {
    const r = this.reason
    switch (r._tag) {
      case "MissingKey":
        return "No API key given. Send it as 'Authorization: Bearer KEY'."
      case "UnknownKey":
        return "Incorrect API key provided."
      case "ExpiredKey":
        return "This API key has expired. Ask for a new one."
      case "RevokedKey":
        return "This API key has been revoked. Ask for a new one."
      case "Forbidden":
        return `This API key may not do this: it lacks the scope '${r.scope}'.`
      case "Unavailable":
        return `The API key cannot be checked at the moment. Try again in ${Math.ceil(r.retryAfterMs)} ms.`
    }
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

/** The tenant has as many calls in flight as it may (`Exceeded`), or its place was lost while the call ran (`Lost`). */
export class LeaseError extends Schema.TaggedError<LeaseError>()("LeaseError", {
  requestId,
  reason: Schema.Union([
    reason("Exceeded", { limit: Schema.Int, retryAfterMs: Millis }),
    reason("Lost", { retryAfterMs: Millis })
  ])
}) {
  override get message(): string {
    const r = this.reason
    return r._tag === "Exceeded"
      ? `This tenant has ${r.limit} calls in flight, as many as it may. Try again in ${Math.ceil(r.retryAfterMs)} ms.`
      : `The place of this call was lost: it was not renewed in time. Try again in ${Math.ceil(r.retryAfterMs)} ms.`
  }
}

/** What a cap on spending covers. */
export const BudgetScope = Schema.Literals(["tenant", "feature", "request"])
export type BudgetScope = typeof BudgetScope.Type

/** The time a cap on spending is for: a UTC day, a UTC month, or one request. */
export const BudgetWindow = Schema.Literals(["day", "month", "request"])
export type BudgetWindow = typeof BudgetWindow.Type

/** What a cap on spending counts: money in micro-dollars, or tokens. */
export const BudgetUnit = Schema.Literals(["micro-usd", "tokens"])
export type BudgetUnit = typeof BudgetUnit.Type

/**
 * Money or tokens of the caller are used up. `Exhausted`: what is left does
 * not cover the request; `NeverFits`: the request is larger than the whole cap;
 * `Unavailable`: a cap exists and cannot be checked, so nothing is spent.
 */
export class BudgetError extends Schema.TaggedError<BudgetError>()("BudgetError", {
  requestId,
  reason: Schema.Union([
    reason("Exhausted", {
      scope: BudgetScope,
      window: BudgetWindow,
      unit: BudgetUnit,
      limit: Schema.Finite,
      used: Schema.Finite
    }),
    reason("NeverFits", {
      scope: BudgetScope,
      window: BudgetWindow,
      unit: BudgetUnit,
      limit: Schema.Finite,
      asked: Schema.Finite
    }),
    reason("Unavailable", { retryAfterMs: Millis })
  ])
}) {
  override get message(): string {
    const r = this.reason
    if (r._tag === "Unavailable") {
      return `The budget cannot be checked at the moment. Try again in ${Math.ceil(r.retryAfterMs)} ms.`
    }
    const amount = (n: number) => (r.unit === "tokens" ? `${n} tokens` : `$${(n / 1_000_000).toFixed(2)}`)
    return r._tag === "Exhausted"
      ? `The budget of this ${r.scope} for the ${r.window} is used up: ${amount(r.used)} of ${amount(r.limit)}.`
      : `This request may need ${amount(r.asked)}, more than the budget of ${amount(r.limit)} (${r.scope}, ${r.window}) ever allows. Make it smaller, or lower max_tokens.`
  }
}

/** A request with an `Idempotency-Key` that cannot be run or replayed. */
export class IdempotencyError extends Schema.TaggedError<IdempotencyError>()("IdempotencyError", {
  requestId,
  reason: Schema.Union([
    reason("InvalidKey", { detail: Schema.String }),
    reason("InFlight", { retryAfterMs: Millis }),
    reason("OtherBody", {})
  ])
}) {
  override get message(): string {
    const r = this.reason
    switch (r._tag) {
      case "InvalidKey":
        return `Invalid Idempotency-Key: ${r.detail}`
      case "InFlight":
        return `A request with this Idempotency-Key is still running. Try again in ${Math.ceil(r.retryAfterMs)} ms.`
      case "OtherBody":
        return "This Idempotency-Key was used with another request. Use a new key for a new request."
    }
  }
}

/** A store (Redis, Postgres) that did not do what was asked of it. `detail` holds no secret and no content. */
export class StoreError extends Schema.TaggedError<StoreError>()("StoreError", {
  requestId,
  store: Schema.Literals(["redis", "postgres"]),
  reason: Schema.Union([
    reason("Unavailable", { detail: Schema.String }),
    reason("Timeout", { afterMs: Millis }),
    reason("ReadOnly", { detail: Schema.String }),
    reason("Full", { detail: Schema.String }),
    reason("Script", { detail: Schema.String }),
    reason("Schema", { detail: Schema.String }),
    reason("Conflict", { detail: Schema.String }),
    reason("NotFound", { detail: Schema.String }),
    reason("Invalid", { detail: Schema.String })
  ])
}) {
  override get message(): string {
    const r = this.reason
    switch (r._tag) {
      case "Timeout":
        return `${this.store} did not answer within ${Math.round(r.afterMs)} ms.`
      case "Unavailable":
        return `${this.store} cannot be reached: ${r.detail}`
      case "ReadOnly":
        return `${this.store} takes no writes (a replica?): ${r.detail}`
      case "Full":
        return `${this.store} has no room left: ${r.detail}`
      case "Schema":
        return `${this.store} has another schema than this version needs: ${r.detail}. Run 'ballast migrate'.`
      default:
        return `${this.store}: ${r.detail}`
    }
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

/**
 * The provider's own rate limit leaves no room for this call in time (`NoRoom`),
 * or the provider asked to be left alone for longer than that (`Paused`).
 */
export class PacerError extends Schema.TaggedError<PacerError>()("PacerError", {
  requestId,
  reason: Schema.Union([
    reason("NoRoom", { key: Schema.String, unit: LimitUnit, retryAfterMs: Millis }),
    reason("Paused", { key: Schema.String, retryAfterMs: Millis })
  ])
}) {
  override get message(): string {
    const r = this.reason
    const why =
      r._tag === "NoRoom"
        ? `The rate limit (${r.unit}) of '${r.key}' has no room in time`
        : `The provider of '${r.key}' asked for a pause`
    return `${why}. Try again in ${Math.ceil(r.retryAfterMs)} ms.`
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
  | LeaseError
  | BudgetError
  | BulkheadError
  | PacerError
  | DeadlineError
  | CircuitBreakerError
  | ProviderError

/** Everything that the server can answer with. */
export type BallastError = CompleteError | AuthError | IdempotencyError | ShutdownError
