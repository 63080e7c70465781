/** One error of every reason there is; the compiler asks for a new one with each new reason. */
import type { ErrorKey } from "../../src/domain/error-table.ts"
import * as Errors from "../../src/domain/errors.ts"
import type { BallastError, ProviderReason } from "../../src/domain/errors.ts"

const request = (reason: Errors.RequestError["reason"]) => new Errors.RequestError({ reason })
const provider = (reason: ProviderReason) => new Errors.ProviderError({ provider: "openai", reason })
const limited = (reason: Errors.RateLimitError["reason"]) => new Errors.RateLimitError({ reason })
const pacer = (reason: Errors.PacerError["reason"]) => new Errors.PacerError({ reason })
const bulkhead = (reason: Errors.BulkheadError["reason"]) => new Errors.BulkheadError({ reason })
const breaker = (tag: Errors.CircuitBreakerError["reason"]["_tag"]) =>
  new Errors.CircuitBreakerError({ reason: { _tag: tag, key: "openai/gpt", retryAfterMs: 1_500.2 } })
const auth = (reason: Errors.AuthError["reason"]) => new Errors.AuthError({ reason })
const lease = (reason: Errors.LeaseError["reason"]) => new Errors.LeaseError({ reason })
const budget = (reason: Errors.BudgetError["reason"]) => new Errors.BudgetError({ reason })
const idempotency = (reason: Errors.IdempotencyError["reason"]) => new Errors.IdempotencyError({ reason })

const detail = "what it said"

export const samples: { readonly [K in ErrorKey]: BallastError } = {
  "RequestError.InvalidJson": request({ _tag: "InvalidJson", detail }),
  "RequestError.InvalidField": request({ _tag: "InvalidField", param: "n", detail }),
  "RequestError.UnknownModel": request({ _tag: "UnknownModel", model: "gpt-17" }),
  "RequestError.WrongKind": request({ _tag: "WrongKind", model: "embed", detail }),
  "RequestError.ContextTooLong": request({ _tag: "ContextTooLong", model: "m", tokens: 9, limit: 8 }),
  "RequestError.BodyTooLarge": request({ _tag: "BodyTooLarge", limitBytes: 4_194_304 }),
  "RequestError.BodyTimeout": request({ _tag: "BodyTimeout", afterMs: 10_000 }),
  "RequestError.NoSuchRoute": request({ _tag: "NoSuchRoute", method: "GET", path: "/v2" }),
  "RequestError.MethodNotAllowed": request({ _tag: "MethodNotAllowed", method: "PUT", allow: "POST" }),
  "AuthError.MissingKey": auth({ _tag: "MissingKey" }),
  "AuthError.UnknownKey": auth({ _tag: "UnknownKey" }),
  "AuthError.ExpiredKey": auth({ _tag: "ExpiredKey" }),
  "AuthError.RevokedKey": auth({ _tag: "RevokedKey" }),
  "AuthError.Forbidden": auth({ _tag: "Forbidden", scope: "embeddings" }),
  "AuthError.Unavailable": auth({ _tag: "Unavailable", retryAfterMs: 1_500.2 }),
  "KillSwitchError.Off": new Errors.KillSwitchError({ reason: { _tag: "Off", kind: "feature", target: "chat" } }),
  "RateLimitError.Exceeded": limited({
    _tag: "Exceeded",
    dimension: "user",
    unit: "requests",
    limit: 100,
    windowMs: 60_000,
    retryAfterMs: 1_500.2
  }),
  "RateLimitError.NeverFits": limited({ _tag: "NeverFits", dimension: "user", unit: "tokens", limit: 10, asked: 11 }),
  "LeaseError.Exceeded": lease({ _tag: "Exceeded", limit: 4, retryAfterMs: 1_500.2 }),
  "LeaseError.Lost": lease({ _tag: "Lost", retryAfterMs: 1_500.2 }),
  "BudgetError.Exhausted": budget({
    _tag: "Exhausted",
    scope: "tenant",
    window: "day",
    unit: "micro-usd",
    limit: 100_000_000,
    used: 99_999_000
  }),
  "BudgetError.NeverFits": budget({
    _tag: "NeverFits",
    scope: "request",
    window: "request",
    unit: "tokens",
    limit: 100,
    asked: 101
  }),
  "BudgetError.Unavailable": budget({ _tag: "Unavailable", retryAfterMs: 1_500.2 }),
  "IdempotencyError.InvalidKey": idempotency({ _tag: "InvalidKey", detail }),
  "IdempotencyError.InFlight": idempotency({ _tag: "InFlight", retryAfterMs: 1_500.2 }),
  "IdempotencyError.OtherBody": idempotency({ _tag: "OtherBody" }),
  "BulkheadError.QueueFull": bulkhead({ _tag: "QueueFull", key: "openai", retryAfterMs: 1_500.2 }),
  "PacerError.NoRoom": pacer({ _tag: "NoRoom", key: "openai", unit: "requests", retryAfterMs: 1_500.2 }),
  "PacerError.Paused": pacer({ _tag: "Paused", key: "openai/gpt", retryAfterMs: 20_000 }),
  "BulkheadError.QueueTimeout": bulkhead({ _tag: "QueueTimeout", key: "openai", waitedMs: 4_000.4, retryAfterMs: 1 }),
  "DeadlineError.Exceeded": new Errors.DeadlineError({
    reason: { _tag: "Exceeded", stage: "provider", budgetMs: 8_000 }
  }),
  "CircuitBreakerError.Open": breaker("Open"),
  "CircuitBreakerError.Probing": breaker("Probing"),
  "ProviderError.RateLimited": provider({ _tag: "RateLimited", status: 429, detail, retryAfterMs: 1_500.2 }),
  "ProviderError.QuotaExhausted": provider({ _tag: "QuotaExhausted", status: 429, detail }),
  "ProviderError.Overloaded": provider({ _tag: "Overloaded", status: 503, detail }),
  "ProviderError.ServerError": provider({ _tag: "ServerError", status: 500, detail }),
  "ProviderError.BadRequest": provider({ _tag: "BadRequest", status: 400, detail, param: "tools", code: "bad_tool" }),
  "ProviderError.Authentication": provider({ _tag: "Authentication", status: 401, detail }),
  "ProviderError.PermissionDenied": provider({ _tag: "PermissionDenied", status: 403, detail }),
  "ProviderError.NotFound": provider({ _tag: "NotFound", status: 404, detail }),
  "ProviderError.TooLarge": provider({ _tag: "TooLarge", status: 413, detail }),
  "ProviderError.Unreachable": provider({ _tag: "Unreachable", detail }),
  "ProviderError.Timeout": provider({ _tag: "Timeout", phase: "first token", afterMs: 6_000 }),
  "ProviderError.Truncated": provider({ _tag: "Truncated", detail }),
  "ProviderError.BrokenFrame": provider({ _tag: "BrokenFrame", detail }),
  "ProviderError.BadResponse": provider({ _tag: "BadResponse", detail }),
  "ProviderError.StreamError": provider({ _tag: "StreamError", detail }),
  "ShutdownError.Draining": new Errors.ShutdownError({ reason: { _tag: "Draining", retryAfterMs: 100 } })
}

/** All of them, by their key. */
export const entries = Object.entries(samples) as ReadonlyArray<[ErrorKey, BallastError]>
