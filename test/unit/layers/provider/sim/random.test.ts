import { assert, describe, it } from "@effect/vitest"
import * as Random from "../../../../../src/layers/provider/sim/random.ts"

const draws = (random: Random.Random, n: number) => Array.from({ length: n }, random)

describe("random", () => {
  it("repeats for the same seeds and differs for others", () => {
    assert.deepStrictEqual(draws(Random.make(1, 2, 3), 50), draws(Random.make(1, 2, 3), 50))
    for (const other of [Random.make(2, 2, 3), Random.make(1, 3, 3), Random.make(1, 2, 4)]) {
      assert.notDeepEqual(draws(other, 50), draws(Random.make(1, 2, 3), 50))
    }
  })

  it("is uniform in [0, 1), for neighbouring seeds too", () => {
    const counts = Array.from({ length: 10 }, () => 0)
    for (let seed = 0; seed < 1000; seed++) {
      for (const x of draws(Random.make(1, seed), 10)) {
        assert(x >= 0 && x < 1)
        counts[Math.floor(x * 10)]!++
      }
    }
    for (const count of counts) assert.closeTo(count, 1000, 120)
  })

  it("draws a normal distribution", () => {
    const random = Random.make(5, 5)
    const all = Array.from({ length: 20_000 }, () => Random.normal(random))
    const mean = all.reduce((sum, x) => sum + x, 0) / all.length
    const variance = all.reduce((sum, x) => sum + (x - mean) ** 2, 0) / all.length
    assert.closeTo(mean, 0, 0.03)
    assert.closeTo(variance, 1, 0.04)
  })

  it("is the median itself without spread", () => {
    assert.strictEqual(
      Random.logNormal(() => assert.fail("drew"), 42, 0),
      42
    )
  })

  it("hashes as FNV-1a does, in one go or in parts", () => {
    // From the test vectors of RFC 9923.
    assert.strictEqual(Random.hash(""), 0x811c9dc5)
    assert.strictEqual(Random.hash("foobar"), 0xbf9cf968)
    assert.strictEqual(Random.hash("bar", Random.hash("foo")), 0xbf9cf968)
  })
})
