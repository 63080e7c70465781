import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { draw } from "../../../../../bench/scenarios/s9/draw.ts"

const some = (seed: number, stream: string) => {
  const { unit } = draw(seed, stream)
  return Array.from({ length: 50 }, unit)
}

describe("a seed's draws", () => {
  it("are the same each time, and others for another seed or another part of the run", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1_000 }), (seed) => {
        assert.deepStrictEqual(some(seed, "a"), some(seed, "a"))
        assert.notDeepEqual(some(seed, "a"), some(seed + 1, "a"))
        assert.notDeepEqual(some(seed, "a"), some(seed, "b"))
      })
    )
  })

  it("stay within their bounds, both ends of whole numbers included", () => {
    const { between, pick, unit, whole } = draw(7, "bounds")
    const wholes = new Set<number>()
    for (let i = 0; i < 2_000; i++) {
      const one = unit()
      assert.isTrue(one >= 0 && one < 1)
      const real = between(3, 4)
      assert.isTrue(real >= 3 && real < 4)
      wholes.add(whole(2, 5))
      assert.include(["a", "b"], pick(["a", "b"]))
    }
    assert.deepStrictEqual(
      [...wholes].toSorted((a, b) => a - b),
      [2, 3, 4, 5]
    )
  })

  it("are spread evenly", () => {
    const { unit } = draw(11, "spread")
    const counts = Array.from({ length: 10 }, () => 0)
    for (let i = 0; i < 10_000; i++) counts[Math.floor(unit() * 10)]!++
    for (const count of counts) assert.isTrue(count > 850 && count < 1_150, counts.join(" "))
  })
})
