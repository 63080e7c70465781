import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { Median } from "../../../../src/layers/bulkhead/median.ts"
import * as Random from "../../../../src/layers/provider/sim/random.ts"

const known = (...samples: ReadonlyArray<number>) => {
  const median = new Median()
  for (const sample of samples) median.add(0, sample)
  return median
}

describe("Median", () => {
  it("knows nothing at first", () => {
    assert.strictEqual(known().read(0), 0)
    assert.strictEqual(known(100, 100).read(0), 0)
    assert.isAbove(known(100, 100, 100).read(0), 0)
  })

  it("comes to the median of any spread, and stays near it", () =>
    fc.assert(
      fc.property(
        fc.integer(),
        fc.double({ min: 0.1, max: 1, noNaN: true }),
        fc.integer({ min: 1, max: 100_000 }),
        (seed, sigma, middle) => {
          const random = Random.make(seed, 1)
          const median = new Median()
          let below = 0
          for (let i = 0; i < 3_500; i++) {
            const sample = Random.logNormal(random, middle, sigma)
            if (i >= 500 && sample < median.read(0)) below++
            median.add(0, sample)
          }
          assert.approximately(below / 3_000, 0.5, 0.06)
        }
      ),
      { numRuns: 40 }
    ))

  it("one sample moves it by a step, however far out it is", () => {
    const near = known(...Array.from({ length: 50 }, () => 100), 101).read(0)
    const far = known(...Array.from({ length: 50 }, () => 100), 1e9).read(0)
    assert.strictEqual(near, far)
    assert.isBelow(far, 115)
  })

  it("follows a lasting change within some twenty samples", () => {
    const median = known(...Array.from({ length: 100 }, () => 100))
    for (let i = 0; i < 25; i++) median.add(0, 500)
    assert.isAbove(median.read(0), 400)
    for (let i = 0; i < 25; i++) median.add(0, 100)
    assert.isBelow(median.read(0), 130)
  })

  it("is forgotten in a long silence, and learned anew in a few samples", () => {
    const median = known(...Array.from({ length: 100 }, () => 100))
    assert.isAbove(median.read(60_000), 0)
    assert.strictEqual(median.read(3_600_000), 0)
    for (let i = 0; i < 10; i++) median.add(3_600_000, 800)
    assert.approximately(median.read(3_600_000), 800, 160)
  })

  it("what is no positive number is no sample", () => {
    const median = known(100, 100, 100, 100)
    const before = median.read(0)
    for (const sample of [0, -1, Number.NaN]) median.add(0, sample)
    assert.strictEqual(median.read(0), before)
  })
})
