import { assert, describe, it } from "@effect/vitest"
import {
  errorBody,
  errorTable,
  isBallastError,
  isRefusal,
  keyOf,
  retryAfterMs,
  rowOf
} from "../../../src/domain/error-table.ts"
import type { ErrorKey, ErrorRow } from "../../../src/domain/error-table.ts"
import * as Errors from "../../../src/domain/errors.ts"
import { entries, samples } from "../../support/error-samples.ts"

/** What clients are promised: status, code, whether they may try again. Written down a second time on purpose. */
const promised: { readonly [K in ErrorKey]: readonly [status: number, code: string, clientRetry: boolean] } = {
  "RequestError.InvalidJson": [400, "invalid_json", false],
  "RequestError.InvalidField": [400, "invalid_value", false],
  "RequestError.UnknownModel": [404, "model_not_found", false],
  "RequestError.WrongKind": [400, "unsupported_model", false],
  "RequestError.ContextTooLong": [400, "context_length_exceeded", false],
  "RequestError.BodyTooLarge": [413, "request_too_large", false],
  "RequestError.BodyTimeout": [408, "request_timeout", true],
  "RequestError.NoSuchRoute": [404, "unknown_url", false],
  "RequestError.MethodNotAllowed": [405, "method_not_allowed", false],
  "AuthError.MissingKey": [401, "invalid_api_key", false],
  "AuthError.UnknownKey": [401, "invalid_api_key", false],
  "AuthError.ExpiredKey": [401, "invalid_api_key", false],
  "AuthError.RevokedKey": [401, "invalid_api_key", false],
  "AuthError.Forbidden": [403, "insufficient_permissions", false],
  "AuthError.Unavailable": [503, "authentication_unavailable", true],
  "KillSwitchError.Off": [503, "feature_disabled", false],
  "RateLimitError.Exceeded": [429, "rate_limit_exceeded", true],
  "RateLimitError.NeverFits": [400, "request_exceeds_limit", false],
  "LeaseError.Exceeded": [429, "concurrency_limit_exceeded", true],
  "LeaseError.Lost": [503, "lease_lost", true],
  "BudgetError.Exhausted": [429, "insufficient_quota", false],
  "BudgetError.NeverFits": [400, "request_exceeds_budget", false],
  "BudgetError.Unavailable": [503, "budget_unavailable", true],
  "IdempotencyError.InvalidKey": [400, "invalid_idempotency_key", false],
  "IdempotencyError.InFlight": [409, "idempotency_key_in_flight", true],
  "IdempotencyError.OtherBody": [422, "idempotency_key_reused", false],
  "BulkheadError.QueueFull": [503, "server_is_overloaded", true],
  "BulkheadError.QueueTimeout": [503, "server_is_overloaded", true],
  "PacerError.NoRoom": [503, "provider_rate_limited", true],
  "PacerError.Paused": [503, "provider_rate_limited", true],
  "DeadlineError.Exceeded": [504, "deadline_exceeded", true],
  "CircuitBreakerError.Open": [503, "provider_unavailable", true],
  "CircuitBreakerError.Probing": [503, "provider_unavailable", true],
  "ProviderError.RateLimited": [429, "rate_limit_exceeded", true],
  "ProviderError.QuotaExhausted": [429, "insufficient_quota", false],
  "ProviderError.Overloaded": [503, "server_is_overloaded", true],
  "ProviderError.ServerError": [502, "upstream_error", true],
  "ProviderError.BadRequest": [400, "invalid_request", false],
  "ProviderError.Authentication": [502, "upstream_authentication", false],
  "ProviderError.PermissionDenied": [502, "upstream_permission", false],
  "ProviderError.NotFound": [502, "upstream_model_not_found", false],
  "ProviderError.TooLarge": [413, "request_too_large", false],
  "ProviderError.Unreachable": [502, "upstream_unreachable", true],
  "ProviderError.Timeout": [504, "upstream_timeout", true],
  "ProviderError.Truncated": [502, "upstream_truncated", true],
  "ProviderError.BrokenFrame": [502, "upstream_broken_frame", true],
  "ProviderError.BadResponse": [502, "upstream_bad_response", true],
  "ProviderError.StreamError": [502, "upstream_stream_error", true],
  "ShutdownError.Draining": [503, "shutting_down", true]
}

const rows = Object.entries(errorTable) as ReadonlyArray<[ErrorKey, ErrorRow]>
const types = [
  "invalid_request_error",
  "permission_denied_error",
  "rate_limit_error",
  "insufficient_quota",
  "service_unavailable_error"
]

describe("the error table", () => {
  it.each(rows)("%s is as promised", (key, row) => {
    assert.deepStrictEqual([row.status, row.code, row.clientRetry], promised[key])
    assert.match(row.code, /^[a-z_]+$/)
    assert.include([...types, "server_error"], row.type)
  })

  it.each(rows)("%s makes sense", (key, { breaker, clientRetry, next, status, type }) => {
    // A wrong request stays wrong (no retry, no other provider, no verdict against this one), unless it came too slowly or too early.
    const stays = status !== 408 && key !== "IdempotencyError.InFlight"
    if (type === "invalid_request_error" && stays) assert.isFalse(clientRetry || breaker || next !== "stop")
    // Only a provider's own failures count against it, never what it is told not to do (429).
    if (breaker) assert.isTrue(key.startsWith("ProviderError.") && status >= 500)
    // We only repeat what a client may repeat.
    if (next === "retry") assert.isTrue(clientRetry)
    assert.strictEqual(status >= 500, type === "server_error" || type === "service_unavailable_error")
  })

  it("finds the row of every error", () => {
    for (const [key, error] of entries) {
      assert.strictEqual(keyOf(error), key)
      assert.strictEqual(rowOf(error), errorTable[key])
    }
    assert.sameMembers(
      entries.map(([key]) => key),
      rows.map(([key]) => key)
    )
  })
})

describe("retryAfterMs", () => {
  it("is what the error knows", () => {
    assert.strictEqual(retryAfterMs(samples["RateLimitError.Exceeded"]), 1_500.2)
    assert.strictEqual(retryAfterMs(samples["ProviderError.RateLimited"]), 1_500.2)
    assert.isUndefined(retryAfterMs(samples["ProviderError.Overloaded"]))
    assert.isUndefined(retryAfterMs(samples["ProviderError.Timeout"]))
  })
})

describe("errorBody", () => {
  it("names the parameter where there is one", () => {
    const params = new Map(entries.map(([key, error]) => [key, errorBody(error).error.param]))
    const named = new Map([...params].filter(([, param]) => param !== null))
    assert.deepStrictEqual(Object.fromEntries(named), {
      "RequestError.InvalidField": "n",
      "RequestError.UnknownModel": "model",
      "RequestError.WrongKind": "model",
      "RequestError.ContextTooLong": "messages",
      "ProviderError.BadRequest": "tools"
    })
  })

  it("has the provider's own code of a bad request, and ours for the rest", () => {
    for (const [key, error] of entries) {
      assert.strictEqual(
        errorBody(error).error.code,
        key === "ProviderError.BadRequest" ? "bad_tool" : errorTable[key].code
      )
    }
  })

  it("has the operator's help where the fault is not the client's, and only there", () => {
    const help = { message: "We are on it.", link: "https://status.example.com" }
    for (const [key, error] of entries) {
      const own = errorBody(error).error
      const helped = errorBody(error, undefined, help).error
      if (isRefusal(errorTable[key].status)) {
        assert.deepStrictEqual(helped, {
          ...own,
          message: `We are on it. (${own.message})`,
          help: "We are on it.",
          help_url: "https://status.example.com"
        })
      } else {
        assert.deepStrictEqual(helped, own)
        assert.isBelow(errorTable[key].status, 500)
      }
    }
    const bare = errorBody(samples["CircuitBreakerError.Open"], undefined, { link: "https://status" }).error
    assert.strictEqual(bare.message, samples["CircuitBreakerError.Open"].message)
    assert.notProperty(bare, "help")
    assert.notProperty(errorBody(samples["CircuitBreakerError.Open"], undefined, {}).error, "help_url")
  })

  it("has a request id where one is known, the given one first", () => {
    const error = new Errors.AuthError({ requestId: "req_1", reason: { _tag: "MissingKey" } })
    assert.strictEqual(errorBody(error).error.request_id, "req_1")
    assert.strictEqual(errorBody(error, "req_2").error.request_id, "req_2")
    assert.notProperty(errorBody(samples["AuthError.MissingKey"]).error, "request_id")
  })
})

describe("isBallastError", () => {
  it("knows each of ours, and nobody else's", () => {
    for (const [, error] of entries) assert.isTrue(isBallastError(error))
    for (const other of [
      undefined,
      null,
      "RequestError",
      new Error("x"),
      { _tag: "RequestError" },
      { _tag: "RequestError", reason: null },
      { _tag: "RequestError", reason: { _tag: "Own" } },
      { _tag: 1, reason: { _tag: 2 } }
    ]) {
      assert.isFalse(isBallastError(other))
    }
  })
})
