import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { Window } from "../../../../src/layers/circuit-breaker/window.ts"

const Calls = Schema.Array(
  Schema.Struct({
    afterMs: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 400 })),
    failed: Schema.Boolean,
    slow: Schema.Boolean
  })
)

describe("Window", () => {
  it.prop("counts all of the last nine tenths, and nothing older than the window", [Calls], ([calls]) => {
    const window = new Window(1_000)
    let now = 1_700_000_000_000
    const all: Array<{ at: number; failed: boolean; slow: boolean }> = []
    for (const { afterMs, failed, slow } of calls) {
      now += afterMs
      window.add(now, failed, slow)
      all.push({ at: now, failed, slow })
      const since = (ms: number) => all.filter(({ at }) => at > now - ms)
      const totals = window.totals(now)
      assert.isAtLeast(totals.calls, since(900).length)
      assert.isAtMost(totals.calls, since(1_000).length)
      assert.isAtLeast(totals.failures, since(900).filter((call) => call.failed).length)
      assert.isAtMost(totals.failures, since(1_000).filter((call) => call.failed).length)
      assert.isAtMost(totals.slow, totals.calls)
    }
  })

  it("an amended call is one failure more and no call more, unless it is forgotten", () => {
    const window = new Window(1_000)
    window.add(5_000, false, false)
    window.amend(5_500, 5_000)
    assert.deepStrictEqual(window.totals(5_500), { calls: 1, failures: 1, slow: 0 })
    window.amend(9_000, 5_000)
    assert.deepStrictEqual(window.totals(9_000), { calls: 1, failures: 1, slow: 0 })
  })

  it("forgets all when cleared, and what the clock left in the future", () => {
    const window = new Window(1_000)
    window.add(5_000, true, true)
    assert.deepStrictEqual(window.totals(1_000), { calls: 0, failures: 0, slow: 0 })
    window.clear()
    assert.deepStrictEqual(window.totals(5_000), { calls: 0, failures: 0, slow: 0 })
  })
})
