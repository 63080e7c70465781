import { assert, describe, it } from "@effect/vitest"
import { FadingMean } from "../../../../src/layers/bulkhead/fading-mean.ts"

describe("FadingMean", () => {
  it("is nothing at first, and the prior where there is one", () => {
    const mean = new FadingMean(10, 1_000)
    assert.strictEqual(mean.read(0), 0)
    assert.strictEqual(mean.read(0, 7, 2), 7)
    assert.strictEqual(mean.weight(0), 0)
  })

  it("is the mean of a few samples, and weighs the prior against them", () => {
    const mean = new FadingMean(1_000, 1_000)
    for (const value of [10, 20, 30]) mean.add(0, value)
    assert.approximately(mean.read(0), 20, 0.1)
    assert.approximately(mean.read(0, 100, 3), 60, 0.1)
  })

  it("follows a change within its number of samples", () => {
    const mean = new FadingMean(10, 1_000)
    for (let i = 0; i < 100; i++) mean.add(0, 10)
    for (let i = 0; i < 30; i++) mean.add(0, 50)
    assert.approximately(mean.read(0), 50, 3)
    assert.approximately(mean.weight(0), 10, 0.5)
  })

  it("loses weight with time, and a mean that is old gives way to the prior", () => {
    const mean = new FadingMean(10, 1_000)
    for (let i = 0; i < 100; i++) mean.add(0, 10)
    assert.approximately(mean.weight(1_000), 5, 0.5)
    assert.approximately(mean.read(1_000), 10, 1e-6)
    assert.approximately(mean.read(3_600_000, 50, 2), 50, 0.5)
  })

  it("a clock that is set back changes nothing", () => {
    const mean = new FadingMean(10, 1_000)
    mean.add(5_000, 10)
    mean.add(1_000, 10)
    assert.strictEqual(mean.read(0), 10)
  })
})
