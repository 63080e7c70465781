import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { momentMs, Recent } from "../../../../src/layers/circuit-breaker/recent.ts"

const step = fc.record({ afterMs: fc.integer({ min: 0, max: 60 }), bad: fc.boolean(), turn: fc.nat(12) })

describe("Recent", () => {
  it("condemns exactly when the last ones are bad enough, all young enough, and not of one moment", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.integer({ min: 1, max: 5 }), (steps, size) => {
        const share = 0.75
        const windowMs = 200
        const recent = new Recent(size, share, windowMs)
        const all: Array<{ readonly at: number; badAt: number }> = []
        let now = 1_000
        let since = Infinity
        const note = () => {
          const last = all.slice(-size)
          const bad = last.filter(({ badAt }) => badAt < Infinity)
          if (bad.length === 0 || bad.length < share * size) since = Infinity
          else if (since === Infinity) since = Math.min(...bad.map(({ badAt }) => badAt))
        }
        for (const { afterMs, bad, turn } of steps) {
          now += afterMs
          const name = recent.add(now)
          all.push({ at: now, badAt: Infinity })
          assert.strictEqual(name, all.length - 1)
          note()
          if (bad) {
            const other = Math.max(0, name - turn)
            recent.turn(other, now)
            if (other > name - size) {
              all[other]!.badAt = Math.min(all[other]!.badAt, now)
              note()
            }
          }
          const last = all.slice(-size)
          const expected = last.length === size && now - last[0]!.at < windowMs && now - since >= momentMs
          assert.strictEqual(recent.condemns(now), expected)
        }
      })
    )
  })

  it("what turned bad once is counted once", () => {
    const recent = new Recent(4, 0.5, 10_000)
    const name = recent.add(0)
    for (let i = 0; i < 3; i++) recent.add(0)
    recent.turn(name, 0)
    recent.turn(name, 0)
    recent.turn(-1, 0)
    assert.isFalse(recent.condemns(momentMs))
    recent.turn(name + 1, 0)
    assert.isFalse(recent.condemns(momentMs - 1))
    assert.isTrue(recent.condemns(momentMs))
    // The clock was set back.
    assert.isFalse(recent.condemns(-1))
    recent.clear()
    assert.isFalse(recent.condemns(momentMs))
  })
})
