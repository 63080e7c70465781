import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { Begins } from "../../../../src/layers/circuit-breaker/begins.ts"
import { momentMs } from "../../../../src/layers/circuit-breaker/recent.ts"

const step = fc.record({ afterMs: fc.integer({ min: 0, max: 60 }), back: fc.option(fc.nat(20)) })

describe("Begins", () => {
  it("condemns exactly when too many of those that left before have failed, not all in one moment", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.integer({ min: 1, max: 4 }), (steps, size) => {
        const share = 0.75
        const windowMs = 300
        const begins = new Begins(size, share, windowMs)
        const all: Array<{ readonly leftAt: number; failedAt: number }> = []
        let now = 1_000
        for (const { afterMs, back } of steps) {
          now += afterMs
          assert.strictEqual(begins.add(now), all.length)
          all.push({ leftAt: now, failedAt: Infinity })
          if (back === null) continue
          const name = all.length - 1 - back
          const condemned = begins.fail(name, now)
          if (name < 0) {
            assert.isFalse(condemned)
            continue
          }
          all[name]!.failedAt = now
          const before = all.slice(Math.max(0, name - size + 1), name + 1)
          const failed = before.filter(({ failedAt }) => failedAt < Infinity)
          const expected =
            before.length === size &&
            failed.length >= share * size &&
            now - Math.min(...failed.map(({ failedAt }) => failedAt)) >= momentMs &&
            now - before[0]!.leftAt < windowMs
          assert.strictEqual(condemned, expected)
        }
      })
    )
  })

  it("looks at a hundred calls at the most, and forgets those that left long ago", () => {
    const begins = new Begins(1_000_000, 0.5, 10_000)
    const names = Array.from({ length: 100 }, (_, i) => begins.add(i))
    let condemned = false
    for (const name of names) condemned = begins.fail(name, 500 + 2 * name)
    assert.isTrue(condemned)
    const first = begins.add(1_000)
    for (let i = 0; i < 1_600; i++) begins.add(1_000)
    assert.isFalse(begins.fail(first, 2_000))
    begins.clear()
    assert.strictEqual(begins.add(3_000), 0)
    assert.isFalse(begins.fail(0, 4_000))
  })
})
