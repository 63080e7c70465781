import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { momentMs, Recent } from "../../../../src/layers/circuit-breaker/recent.ts"
import { Tail } from "../../../support/breaker-tail.ts"

const step = fc.record({ afterMs: fc.integer({ min: 0, max: 60 }), bad: fc.boolean(), turn: fc.nat(12) })

describe("Recent", () => {
  it("condemns exactly when the last ones are bad enough, all young enough, and not of one moment", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.integer({ min: 1, max: 5 }), (steps, size) => {
        const share = 0.75
        const windowMs = 200
        const recent = new Recent(size, share, windowMs)
        const tail = new Tail(size, share)
        let now = 1_000
        for (const { afterMs, bad, turn } of steps) {
          now += afterMs
          const name = recent.add(now)
          assert.strictEqual(name, tail.add(now))
          if (bad) {
            const other = Math.max(0, name - turn)
            recent.turn(other, now)
            tail.turn(other, now)
          }
          assert.strictEqual(recent.condemns(now), tail.condemns(now, windowMs))
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
