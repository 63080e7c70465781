import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fc from "fast-check"
import { Deadline, none, remainingMs, within } from "../../../src/services/deadline.ts"

describe("Deadline", () => {
  it.effect("is none until a program sets one", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* Deadline, { atMs: Infinity, budgetMs: Infinity })
      const mine = { atMs: 5, budgetMs: 5 }
      assert.strictEqual(yield* Effect.provideService(Deadline, Deadline, mine), mine)
    })
  )

  it("lies the budget ahead, with its budget told", () => {
    assert.deepStrictEqual(within(1_000, 50), { atMs: 1_050, budgetMs: 50 })
    assert.deepStrictEqual(within(1_000, Infinity), none)
  })

  it("of an outer one that is earlier is that one, its own budget included", () => {
    const outer = { atMs: 1_020, budgetMs: 400 }
    assert.strictEqual(within(1_000, 50, outer), outer)
    assert.deepStrictEqual(within(1_000, 10, outer), { atMs: 1_010, budgetMs: 10 })
  })

  it("is never later than any of those around it", () => {
    const ms = fc.integer({ min: 0, max: 1_000_000 })
    fc.assert(
      fc.property(ms, ms, ms, (now, budget, atMs) => {
        const { atMs: at } = within(now, budget, { atMs, budgetMs: 1 })
        assert.strictEqual(at, Math.min(now + budget, atMs))
      })
    )
  })

  it("has what is left of it, and never less than nothing", () => {
    const deadline = within(1_000, 50)
    assert.deepStrictEqual(
      [1_000, 1_049, 1_050, 2_000].map((now) => remainingMs(deadline, now)),
      [50, 1, 0, 0]
    )
    assert.strictEqual(remainingMs(none, 1_000), Infinity)
  })
})
