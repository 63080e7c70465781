import { assert, describe, it } from "@effect/vitest"
import { gradient, tolerance } from "../../../../src/layers/bulkhead/gradient.ts"
import type { Window } from "../../../../src/layers/bulkhead/gradient.ts"

const after = (window: Partial<Window>) => gradient({ limit: 40, ratio: 1, inFlight: 40, dropped: false, ...window })

/** A provider whose `places` calls share it: the ratio of its times. */
const ratioOf = (inFlight: number, places: number) => Math.max(1, inFlight / places)

describe("gradient", () => {
  it("stays where nothing is known", () => assert.strictEqual(after({ ratio: 0 }), 40))

  it("grows while times are as they should be, by half at most", () => {
    assert.isAbove(after({}), 40)
    assert.isAtMost(after({ inFlight: 400 }), 60)
    assert.isAbove(after({ limit: 1, inFlight: 1 }), 1.45)
  })

  it("does not shrink because it is not used", () => assert.strictEqual(after({ inFlight: 2 }), 40))

  it("shrinks as far as times are too long", () => {
    assert.approximately(after({ ratio: 2 }), 40 * (tolerance / 2) + 1, 1e-9)
    assert.isBelow(after({ ratio: 4 }), after({ ratio: 2 }))
  })

  it("reckons from the calls in flight: those above a lowered limit do not lower it again", () => {
    const first = after({ ratio: 2 })
    // The times are still those of 40 calls.
    assert.approximately(after({ limit: first, inFlight: 40, ratio: 2 }), first, 1e-9)
  })

  it("comes to about what the provider can do, from above and from below", () => {
    for (const start of [1, 5, 60, 500]) {
      let limit = start
      for (let i = 0; i < 60; i++)
        limit = Math.max(1, gradient({ limit, inFlight: limit, ratio: ratioOf(limit, 20), dropped: false }))
      assert.isAtLeast(limit, 20)
      assert.isAtMost(limit, 26)
    }
  })

  it("brings processes before one provider to equal limits", () => {
    const limits = [2, 10, 40]
    for (let i = 0; i < 200; i++) {
      const ratio = ratioOf(
        limits.reduce((sum, limit) => sum + limit, 0),
        30
      )
      for (const [index, limit] of limits.entries()) {
        limits[index] = Math.max(1, gradient({ limit, inFlight: limit, ratio, dropped: false }))
      }
    }
    assert.isBelow(Math.max(...limits) / Math.min(...limits), 1.1)
  })

  it("gives up three tenths for refusals, of what is in flight", () => {
    assert.strictEqual(after({ dropped: true }), 28)
    assert.strictEqual(after({ dropped: true, inFlight: 20 }), 14)
    assert.strictEqual(after({ dropped: true, limit: 20, inFlight: 40 }), 14)
  })
})
