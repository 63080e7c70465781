import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { Levels, ranks } from "../../../../src/layers/bulkhead/levels.ts"
import type { Rank } from "../../../../src/layers/bulkhead/levels.ts"
import { Waiter } from "../../../../src/layers/bulkhead/waiter.ts"
import { ask, base } from "../../../conformance/bulkhead-kit.ts"

const all: ReadonlyArray<Rank> = [0, 1, 2]

let order = 0
const join = (levels: Levels, rank: Rank, tenant = "acme") => {
  const level = levels.at(rank)
  const waiter = new Waiter(ask({ tenant }), undefined, level.queue.tenant(tenant, 1), 100, rank, order++, 0)
  level.join(waiter, 0)
  return waiter
}

describe("Levels", () => {
  it("are in the order of their importance", () => {
    assert.deepStrictEqual(ranks, { critical: 0, standard: 1, background: 2 })
    const levels = new Levels(base.shares)
    assert.deepStrictEqual(
      all.map((rank) => levels.at(rank).share),
      [0.6, 0.3, 0.1]
    )
  })

  it("the next is the waiting one furthest below its share, or the first where none is", () =>
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 20 }),
        fc.tuple(fc.nat(12), fc.nat(12), fc.nat(12)),
        fc.tuple(fc.boolean(), fc.boolean(), fc.boolean()),
        (limit, inFlight, waits) => {
          const levels = new Levels(base.shares)
          for (const rank of all) {
            levels.at(rank).inFlight = inFlight[rank]
            if (waits[rank]) join(levels, rank)
          }
          const waiting = all.filter((rank) => waits[rank])
          const filled = (rank: Rank) => inFlight[rank] / (levels.at(rank).share * limit)
          const below = waiting.filter((rank) => filled(rank) < 1).toSorted((a, b) => filled(a) - filled(b) || a - b)
          const expected = below[0] ?? waiting[0]
          assert.strictEqual(levels.next(limit), expected === undefined ? undefined : levels.at(expected))
        }
      )
    ))

  it("the last is of the lowest level that waits, and never of one above", () => {
    const levels = new Levels(base.shares)
    assert.isUndefined(levels.last(0))
    const critical = join(levels, 0)
    assert.strictEqual(levels.last(0), critical)
    assert.isUndefined(levels.last(1))
    const background = join(levels, 2)
    for (const rank of all) assert.strictEqual(levels.last(rank), background)
  })

  it("share the places that come free where they wait together", () => {
    const levels = new Levels(base.shares)
    assert.approximately(levels.gapMs(levels.at(2), 0, 100), 100, 1e-9)
    join(levels, 0)
    // A tenth against six tenths.
    assert.approximately(levels.gapMs(levels.at(2), 0, 100), 700, 1e-9)
    assert.approximately(levels.gapMs(levels.at(0), 0, 100), 100, 1e-9)
    const without = new Levels({ critical: 1, standard: 0, background: 0 })
    join(without, 0)
    assert.approximately(without.gapMs(without.at(2), 0, 100), 10_100, 1e-6)
  })
})
