import { assert, describe, it } from "@effect/vitest"
import * as Failure from "../../../../../src/layers/provider/sim/failure.ts"

describe("failure", () => {
  it("words a status as OpenAI does, unless told otherwise", () => {
    assert.deepStrictEqual(Failure.body(Failure.status(429)), {
      error: { message: "Rate limit reached.", type: "rate_limit_error", param: null, code: "rate_limit_exceeded" }
    })
    assert.strictEqual(Failure.status(502).type, "server_error")
    assert.strictEqual(Failure.status(418).type, "invalid_request_error")
    assert.strictEqual(Failure.status(429, { code: "insufficient_quota" }).type, "insufficient_quota")
  })

  it("keeps status, code, message and Retry-After in the provider error", () => {
    const error = Failure.toProviderError("p", Failure.status(429, { retryAfterMs: 7, message: "slow" }), true)
    assert.deepStrictEqual(error.reason, {
      _tag: "RateLimited",
      detail: "slow",
      status: 429,
      code: "rate_limit_exceeded",
      retryAfterMs: 7
    })
    assert.strictEqual(error.provider, "p")
  })

  it("a broken frame is a bad response where there are no frames", () => {
    assert.strictEqual(Failure.toProviderError("p", { _tag: "BrokenFrame" }, true).reason._tag, "BrokenFrame")
    assert.strictEqual(Failure.toProviderError("p", { _tag: "BrokenFrame" }, false).reason._tag, "BadResponse")
  })
})
