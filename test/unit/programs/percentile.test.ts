import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { ofSorted, percentile } from "../../../src/programs/percentile.ts"

describe("percentile", () => {
  it("is the nearest rank, and null of nothing", () => {
    const values = Array.from({ length: 100 }, (_, index) => 100 - index)
    assert.strictEqual(percentile(values, 0.5), 50)
    assert.strictEqual(percentile(values, 0.99), 99)
    assert.strictEqual(percentile(values, 0), 1)
    assert.strictEqual(percentile(values, 1), 100)
    assert.strictEqual(percentile([7], 0.5), 7)
    assert.isNull(percentile([], 0.5))
  })

  it("leaves its argument as it was", () => {
    const values = [3, 1, 2]
    assert.strictEqual(percentile(values, 0.5), 2)
    assert.deepStrictEqual(values, [3, 1, 2])
  })

  it("is a value of which the share q is not above, and the least such", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer(), { minLength: 1 }),
        fc.double({ min: 0.001, max: 1, noNaN: true }),
        (values, q) => {
          const value = percentile(values, q)
          assert.strictEqual(
            value,
            ofSorted(
              values.toSorted((a, b) => a - b),
              q
            )
          )
          const upTo = (limit: number) => values.filter((each) => each <= limit).length / values.length
          assert.isAtLeast(upTo(value ?? 0), q - 1e-12)
          for (const other of values) if (other < (value ?? 0)) assert.isBelow(upTo(other), q)
        }
      )
    )
  })
})
