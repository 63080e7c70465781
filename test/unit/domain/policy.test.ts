import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as Policy from "../../../src/domain/policy.ts"

const is = Schema.is(Policy.Policies)

describe("the shipped defaults", () => {
  it("are policies", () => assert.isTrue(is(Policy.defaults)))

  it("are those that the documentation promises", () => {
    const { bulkhead, rateLimits, retry, timeouts } = Policy.defaults
    assert.deepStrictEqual(
      [rateLimits.user, rateLimits.ip, rateLimits.global].map((limit) => limit.requestsPerMinute),
      [100, 200, 5_000]
    )
    assert.strictEqual(rateLimits.premiumFactor, 2)
    assert.strictEqual(bulkhead.maxInFlight, 8)
    assert.deepStrictEqual([timeouts.hardMs, timeouts.nonCriticalMs], [8_000, 1_500])
    assert.strictEqual(retry.maxRetries, 2)
  })

  it("fit together: one attempt and one wait for a place fit into the hard limit", () => {
    const { bulkhead, timeouts } = Policy.defaults
    assert.isBelow(timeouts.firstTokenMs, timeouts.hardMs)
    assert.isBelow(bulkhead.maxWaitMs, timeouts.hardMs)
    assert.isBelow(timeouts.connectMs, timeouts.firstTokenMs)
    assert.isBelow(timeouts.idleMs, timeouts.streamMs)
  })
})

describe("policies", () => {
  it("have no durations of 0, no shares above 1, no limits below 1", () => {
    const { breaker, bulkhead, rateLimits, timeouts } = Policy.defaults
    for (const wrong of [
      { timeouts: { ...timeouts, hardMs: 0 } },
      { timeouts: { ...timeouts, idleMs: Infinity } },
      { breaker: { ...breaker, failureRate: 1.1 } },
      { breaker: { ...breaker, probes: 0 } },
      { bulkhead: { ...bulkhead, maxInFlight: 0 } },
      { rateLimits: { ...rateLimits, user: { requestsPerMinute: 0 } } },
      { rateLimits: { ...rateLimits, premiumFactor: 0.5 } }
    ]) {
      assert.isFalse(is({ ...Policy.defaults, ...wrong }), JSON.stringify(wrong))
    }
  })
})
