import { assert, describe, it } from "@effect/vitest"
import { Forecast } from "../../../../src/layers/bulkhead/forecast.ts"

describe("Forecast", () => {
  it("knows nothing at first", () => {
    const forecast = new Forecast()
    assert.strictEqual(forecast.needMs(0, true), 0)
    assert.strictEqual(forecast.needMs(0, false), 0)
    assert.strictEqual(forecast.gapMs(0, 8), 0)
  })

  it("keeps streams and whole answers apart", () => {
    const forecast = new Forecast()
    for (let i = 0; i < 20; i++) {
      forecast.firstToken(0, 200)
      forecast.answered(0, 5_000)
    }
    assert.approximately(forecast.needMs(0, true), 200, 20)
    assert.approximately(forecast.needMs(0, false), 5_000, 500)
  })

  it("places come free as often as they are held, the more of them there are", () => {
    const forecast = new Forecast()
    for (let i = 0; i < 20; i++) forecast.held(0, 2_000)
    assert.approximately(forecast.gapMs(0, 1), 2_000, 1)
    assert.approximately(forecast.gapMs(0, 8), 250, 1)
    assert.approximately(forecast.gapMs(0, 0), 2_000, 1)
  })

  it("one call that hangs counts for a few", () => {
    const forecast = new Forecast()
    for (let i = 0; i < 20; i++) forecast.held(0, 100)
    forecast.held(0, 3_600_000)
    assert.isBelow(forecast.gapMs(0, 1), 160)
  })

  it("is forgotten in a long silence", () => {
    const forecast = new Forecast()
    for (let i = 0; i < 100; i++) {
      forecast.held(0, 2_000)
      forecast.firstToken(0, 200)
    }
    assert.strictEqual(forecast.gapMs(24 * 3_600_000, 1), 0)
    assert.strictEqual(forecast.needMs(24 * 3_600_000, true), 0)
  })
})
