import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { Window } from "../../../../src/layers/circuit-breaker/window.ts"

const Notes = Schema.Array(
  Schema.Struct({
    afterMs: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 400 })),
    gap: Schema.Boolean,
    failed: Schema.Boolean,
    slow: Schema.Boolean
  })
)

const counts = (window: Window, now: number) => {
  const { calls, failures, gaps, slow, slowGaps } = window.totals(now)
  return { calls, failures, gaps, slow, slowGaps }
}
const none = { calls: 0, failures: 0, gaps: 0, slow: 0, slowGaps: 0 }

describe("Window", () => {
  it.prop("counts all of the last nine tenths, and nothing older than the window", [Notes], ([notes]) => {
    const window = new Window(1_000)
    let now = 1_700_000_000_000
    const all: Array<(typeof notes)[number] & { readonly at: number }> = []
    for (const note of notes) {
      now += note.afterMs
      if (note.gap) window.addGap(now, note.slow)
      else window.add(now, note.failed, note.slow)
      all.push({ ...note, at: now })
      const within = (ms: number, which: (note: (typeof notes)[number]) => boolean) =>
        all.filter((one) => one.at > now - ms && which(one)).length
      const totals = counts(window, now)
      const kinds = [
        [totals.calls, ({ gap }) => !gap],
        [totals.failures, ({ failed, gap }) => !gap && failed],
        [totals.slow, ({ gap, slow }) => !gap && slow],
        [totals.gaps, ({ gap }) => gap],
        [totals.slowGaps, ({ gap, slow }) => gap && slow]
      ] as const satisfies ReadonlyArray<readonly [number, (note: (typeof notes)[number]) => boolean]>
      for (const [count, which] of kinds) {
        assert.isAtLeast(count, within(900, which))
        assert.isAtMost(count, within(1_000, which))
      }
    }
  })

  it("is empty after a silence of any length", () => {
    for (const silence of [1_000, 1_001, 9_999, 3_600_000]) {
      const window = new Window(1_000)
      window.add(5_000, true, true)
      window.addGap(5_999, true)
      assert.deepStrictEqual(counts(window, 5_999 + silence), none)
      window.add(5_999 + silence, false, false)
      assert.deepStrictEqual(counts(window, 5_999 + silence), { ...none, calls: 1 })
    }
  })

  it("an amended call is one failure more and no call more, unless it is forgotten", () => {
    const window = new Window(1_000)
    window.add(5_000, false, true)
    window.amend(5_500, 5_000)
    assert.deepStrictEqual(counts(window, 5_500), { ...none, calls: 1, failures: 1, slow: 1 })
    window.amend(9_000, 5_000)
    assert.deepStrictEqual(counts(window, 9_000), { ...none, calls: 1, failures: 1 })
  })

  it("stands still for a clock that was set back a little, begins afresh for one that was set back far", () => {
    const window = new Window(1_000)
    window.add(5_000, true, false)
    window.add(4_600, true, false)
    assert.strictEqual(counts(window, 4_700).failures, 2)
    assert.strictEqual(counts(window, 5_899).failures, 2)
    assert.deepStrictEqual(counts(window, 1_000), none)
    window.add(1_000, true, false)
    assert.strictEqual(counts(window, 1_000).failures, 1)
  })

  it("forgets all when cleared", () => {
    const window = new Window(1_000)
    window.add(5_000, true, true)
    window.addGap(5_000, true)
    window.clear()
    assert.deepStrictEqual(counts(window, 5_000), none)
  })
})
