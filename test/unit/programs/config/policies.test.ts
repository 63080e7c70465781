import { assert, describe, it } from "vitest"
import * as Policy from "../../../../src/domain/policy.ts"
import * as Policies from "../../../../src/programs/config/policies.ts"

describe("merge", () => {
  it("of nothing is the shipped defaults, and they fit together", () => {
    assert.deepStrictEqual(Policies.merge({}), Policy.defaults)
    assert.deepStrictEqual(Policies.check(Policy.defaults), [])
  })

  it("replaces what is written and nothing else", () => {
    const merged = Policies.merge({
      timeouts: { hardMs: 9_000 },
      bulkhead: { maxQueue: 1 },
      retry: { maxRetries: 0 },
      rateLimits: { tenant: { tokensPerMinute: 5 }, premiumFactor: 3 },
      brownout: { partial: true, refusal: { message: "Busy." } }
    })
    assert.deepStrictEqual(merged, {
      timeouts: { ...Policy.defaults.timeouts, hardMs: 9_000 },
      bulkhead: { ...Policy.defaults.bulkhead, maxQueue: 1 },
      pacing: Policy.defaults.pacing,
      breaker: Policy.defaults.breaker,
      retry: { ...Policy.defaults.retry, maxRetries: 0 },
      hedge: Policy.defaults.hedge,
      leases: Policy.defaults.leases,
      budgets: Policy.defaults.budgets,
      brownout: { partial: true, refusal: { message: "Busy." } },
      rateLimits: { ...Policy.defaults.rateLimits, tenant: { tokensPerMinute: 5 }, premiumFactor: 3 }
    })
  })

  it("null takes a limit away, a missing one keeps the default", () => {
    const { rateLimits } = Policies.merge({
      rateLimits: { user: { requestsPerMinute: null, tokensPerMinute: 7 }, ip: {} }
    })
    assert.deepStrictEqual(rateLimits.user, { tokensPerMinute: 7 })
    assert.deepStrictEqual(rateLimits.ip, Policy.defaults.rateLimits.ip)
  })

  it("shortens an unwritten duration to the written one around it", () => {
    const { breaker, retry, timeouts } = Policies.merge({
      timeouts: { streamMs: 1_000 },
      breaker: { maxOpenMs: 100 },
      retry: { capMs: 10 }
    })
    assert.deepStrictEqual(timeouts, {
      hardMs: 1_000,
      nonCriticalMs: 1_500,
      firstTokenMs: 1_000,
      idleMs: 1_000,
      streamMs: 1_000,
      connectMs: 1_000
    })
    assert.strictEqual(breaker.openMs, 100)
    assert.strictEqual(retry.baseMs, 10)
  })
})

describe("check", () => {
  it.each([
    ["timeouts.hardMs", { timeouts: { hardMs: 2, streamMs: 1 } }],
    ["timeouts.nonCriticalMs", { timeouts: { nonCriticalMs: 2, hardMs: 1 } }],
    ["timeouts.firstTokenMs", { timeouts: { firstTokenMs: 2, streamMs: 1 } }],
    ["timeouts.idleMs", { timeouts: { idleMs: 2, streamMs: 1 } }],
    ["timeouts.connectMs", { timeouts: { connectMs: 2, firstTokenMs: 1 } }],
    ["breaker.openMs", { breaker: { openMs: 2, maxOpenMs: 1 } }],
    ["retry.baseMs", { retry: { baseMs: 2, capMs: 1 } }]
  ])("names a written %s that is longer than what is around it", (path, written) => {
    const problem = Policies.check(Policies.merge(written)).find((each) => each.path === `policies.${path}`)
    assert.strictEqual(problem?.found, "2")
    assert.match(problem?.allowed ?? "", /which is 1$/u)
  })

  it("allows both to be the same", () => {
    assert.deepStrictEqual(Policies.check(Policies.merge({ retry: { baseMs: 5, capMs: 5 } })), [])
  })
})

describe("bulkhead", () => {
  it("is a provider's own values over those of all", () => {
    const base = Policy.defaults.bulkhead
    assert.deepStrictEqual(Policies.bulkhead(base, { maxInFlight: 3 }), { ...base, maxInFlight: 3 })
    assert.deepStrictEqual(Policies.bulkhead(base, undefined), base)
  })
})

describe("policies that contradict themselves", () => {
  it("a floor of the adaptive limit above its ceiling", () => {
    const bulkhead = { minInFlight: 9, maxInFlight: 8 }
    assert.deepStrictEqual(Policies.check(Policies.merge({ bulkhead })), [])
    assert.deepStrictEqual(
      Policies.check(Policies.merge({ bulkhead: { ...bulkhead, adaptive: true } })).map(({ path }) => path),
      ["policies.bulkhead.minInFlight"]
    )
  })

  it("hedging that would take its own usual share for a general slowdown", () => {
    const hedge = { quantile: 0.8, maxLateShare: 0.2 }
    assert.deepStrictEqual(Policies.check(Policies.merge({ hedge })), [])
    const [problem] = Policies.check(Policies.merge({ hedge: { ...hedge, enabled: true } }))
    assert.strictEqual(problem?.path, "policies.hedge.maxLateShare")
    assert.match(problem?.allowed ?? "", /more than 0\.2,/)
  })
})
