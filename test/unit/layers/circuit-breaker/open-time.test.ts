import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { defaults } from "../../../../src/domain/policy.ts"
import { OpenTime } from "../../../../src/layers/circuit-breaker/open-time.ts"

const policy = { ...defaults.breaker, windowMs: 10_000, openMs: 5_000, maxOpenMs: 60_000 }

/** Without jitter. */
const even = () => new OpenTime(policy, () => 0.5)

describe("OpenTime", () => {
  it("doubles with each failed probing, up to the maximum", () => {
    const time = even()
    const lengths = [time.opens(0)]
    for (let i = 0; i < 6; i++) lengths.push(time.reopens(0))
    assert.deepStrictEqual(lengths, [5_000, 10_000, 20_000, 40_000, 60_000, 60_000, 60_000])
  })

  it("a relapse goes on, staying closed takes back one doubling for each window", () => {
    const time = even()
    assert.strictEqual(time.opens(0), 5_000)
    time.closes(5_000)
    assert.strictEqual(time.opens(14_999) - 14_999, 10_000)
    time.closes(30_000)
    assert.strictEqual(time.opens(30_000) - 30_000, 20_000)
    time.closes(50_000)
    assert.strictEqual(time.opens(60_000) - 60_000, 10_000)
    time.closes(70_000)
    assert.strictEqual(time.opens(1e9) - 1e9, 5_000)
    // However often it relapsed, it comes back in as many windows as it takes to reach the maximum.
    for (let i = 0; i < 50; i++) time.reopens(0)
    time.closes(0)
    assert.strictEqual(time.opens(40_000) - 40_000, 5_000)
  })

  it("is forgotten on demand", () => {
    const time = even()
    for (let i = 0; i < 5; i++) time.reopens(0)
    time.closes(0)
    time.ask(1e9)
    time.forget()
    assert.strictEqual(time.opens(1), 5_001)
  })

  it("never ends before what a Retry-After asked for, within bounds, nor all at one moment", () => {
    const cases = fc.record({
      random: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
      asked: fc.integer({ min: 0, max: 500_000 }),
      failed: fc.nat(6)
    })
    fc.assert(
      fc.property(cases, ({ asked, failed, random }) => {
        const time = new OpenTime(policy, () => random)
        const at = 1_000_000
        time.opens(at)
        for (let i = 1; i < failed; i++) time.reopens(at)
        time.ask(at + asked)
        const ms = time.reopens(at) - at
        assert.isAtLeast(ms, Math.min(asked, 120_000))
        assert.isAtMost(ms, Math.max(60_000 * 1.2, Math.min(asked, 120_000) + 1_000))
        assert.isAtLeast(ms, 8_000)
      })
    )
    const ends = new Set(Array.from({ length: 100 }, (_, i) => new OpenTime(policy, () => i / 100).opens(0)))
    assert.strictEqual(ends.size, 100)
  })

  it("what was asked for is past some day, and closing ends it", () => {
    const time = even()
    time.ask(8_000)
    assert.strictEqual(time.asked(8_000), 8_000)
    assert.strictEqual(time.asked(7_999), 8_500)
    time.closes(0)
    assert.strictEqual(time.asked(1), 1)
  })
})
