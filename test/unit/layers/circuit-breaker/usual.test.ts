import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { Usual } from "../../../../src/layers/circuit-breaker/usual.ts"

/** Normal draws from a fixed sequence. */
const normals = (seed: number) => {
  let state = seed
  const uniform = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return (state + 0.5) / 2 ** 32
  }
  return () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform())
}

describe("Usual", () => {
  it("knows only the fixed limit before it has seen enough", () => {
    for (const [minimum, needed] of [
      [1, 10],
      [20, 20],
      [1_000_000, 100]
    ] as const) {
      const usual = new Usual(4_000, 4, minimum)
      for (let i = 1; i < needed; i++) usual.learn(i, 100)
      assert.strictEqual(usual.slowMs, 4_000)
      usual.learn(needed, 100)
      assert.strictEqual(usual.slowMs, 400)
    }
  })

  it("finds the median of any spread, at any rate of calls", () => {
    const cases = fc.record({
      seed: fc.integer(),
      median: fc.integer({ min: 50, max: 900 }),
      sigma: fc.constantFrom(0.1, 0.4, 0.8, 1.2),
      everyMs: fc.constantFrom(10, 100, 1_000)
    })
    fc.assert(
      fc.property(cases, ({ everyMs, median, seed, sigma }) => {
        const usual = new Usual(Infinity, 4, 10)
        const normal = normals(seed)
        let now = 0
        for (let i = 0; i < 2_000; i++) {
          now += everyMs
          usual.learn(now, median * Math.exp(sigma * normal()))
        }
        assert.isAtLeast(usual.slowMs / 4, median * 0.6)
        assert.isAtMost(usual.slowMs / 4, median * 1.6)
      })
    )
  })

  it("once it is settled it moves at the same pace at any rate of calls", () => {
    const after = (everyMs: number) => {
      const usual = new Usual(Infinity, 4, 10)
      for (let i = 0; i < 1_200; i++) usual.learn(0, 100)
      for (let now = 0; now <= 60_000; now += everyMs) usual.learn(now, 300)
      return usual.slowMs
    }
    assert.approximately(after(10), after(1_000), 5)
    assert.isBelow(after(10), 4 * 150)
  })

  it("is hardly moved by what is slow, and follows at last", () => {
    const minutesUntilAccepted = (times: number) => {
      const usual = new Usual(Infinity, 4, 10)
      for (let i = 0; i < 1_200; i++) usual.learn(0, 100)
      let now = 0
      while (usual.slowMs < times * 100) {
        now += 5_000
        usual.learn(now, times * 100)
      }
      return now / 60_000
    }
    assert.isAbove(minutesUntilAccepted(6), 3)
    assert.isBelow(minutesUntilAccepted(6), 15)
    assert.isAbove(minutesUntilAccepted(10), 8)
    assert.isBelow(minutesUntilAccepted(10), 60)
  })

  it("one outlier changes nothing to speak of, however far out or late it is", () => {
    const usual = new Usual(Infinity, 4, 10)
    for (let i = 0; i < 1_200; i++) usual.learn(i * 100, 100)
    const before = usual.slowMs
    usual.learn(1e12, 1e9)
    assert.isBelow(usual.slowMs, before * 1.05)
    usual.learn(2e12, 0)
    assert.isAbove(usual.slowMs, before * 0.85)
    // Nor does a clock that was set back.
    usual.learn(0, 1e9)
    assert.isBelow(usual.slowMs, before * 1.05)
  })

  it("keeps to its limits", () => {
    const fast = new Usual(4_000, 4, 10)
    for (let i = 0; i < 50; i++) fast.learn(i, 0)
    assert.strictEqual(fast.slowMs, 50)
    const slow = new Usual(4_000, 4, 10)
    for (let i = 0; i < 50; i++) slow.learn(i, 60_000)
    assert.strictEqual(slow.slowMs, 4_000)
    slow.forget()
    for (let i = 0; i < 9; i++) slow.learn(i, 20)
    assert.strictEqual(slow.slowMs, 4_000)
    slow.learn(9, 20)
    assert.strictEqual(slow.slowMs, 80)
  })
})
