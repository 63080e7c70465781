import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { Histogram } from "../../../../src/layers/bulkhead/histogram.ts"

const medianOf = (values: ReadonlyArray<number>) => {
  const histogram = new Histogram()
  for (const value of values) histogram.add(value)
  return histogram.median()
}

describe("Histogram", () => {
  it("has no median without a value", () => assert.strictEqual(medianOf([]), 0))

  it("its median is exact to a few per cent, whatever the values", () =>
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0.01, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 200 }),
        (values) => {
          const sorted = values.toSorted((a, b) => a - b)
          // Between the two in the middle, where there are two.
          const low = sorted[Math.floor((values.length - 1) / 2)] ?? 0
          const high = sorted[Math.ceil((values.length - 1) / 2)] ?? 0
          const median = medianOf(values)
          assert.isAtLeast(median, low * 0.95)
          assert.isAtMost(median, high * 1.05)
        }
      )
    ))

  it("one value far out changes the median by little", () => {
    const values = Array.from({ length: 50 }, (_, index) => 90 + index * 0.4)
    assert.approximately(medianOf([...values, 1e9]), medianOf(values), 2)
  })

  it("counts times beyond its range at its edges, and leaves out what is none", () => {
    const histogram = new Histogram()
    for (const value of [0, -1, 1e300, Infinity, Number.NaN]) histogram.add(value)
    assert.strictEqual(histogram.count, 3)
    assert.isTrue(Number.isFinite(histogram.median()))
  })

  it("is empty after it was cleared", () => {
    const histogram = new Histogram()
    histogram.add(5)
    histogram.clear()
    assert.strictEqual(histogram.count, 0)
    assert.strictEqual(histogram.median(), 0)
    histogram.add(100)
    assert.approximately(histogram.median(), 100, 4)
  })
})
