import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Arbitrary from "fast-check"
import * as Series from "../../../../src/layers/telemetry/series.ts"
import { freshRegistry, series } from "../../../support/telemetry.ts"

describe("Series", () => {
  it.effect("counters and gauges are read when somebody looks", () =>
    Effect.gen(function* () {
      const context = yield* freshRegistry
      const counter = Series.counter(context, "tries", "Tries", { provider: "one" })
      const other = Series.counter(context, "tries", "Tries", { provider: "two" })
      let level = 0
      Series.gauge(context, "level", "Level", {}, () => level)
      counter.count += 2
      other.count++
      level = 7
      assert.deepStrictEqual(series(context), { "tries{provider=one}": 2, "tries{provider=two}": 1, level: 7 })
      counter.count++
      assert.strictEqual(series(context)["tries{provider=one}"], 3)
    })
  )

  it("a histogram's buckets are cumulative and include their bound", () => {
    Arbitrary.assert(
      Arbitrary.property(
        Arbitrary.array(Arbitrary.integer({ min: 0, max: 40 })),
        Arbitrary.uniqueArray(Arbitrary.integer({ min: 0, max: 30 }), { minLength: 1 }),
        (values, unsorted) => {
          const bounds = unsorted.toSorted((a, b) => a - b)
          const histogram = new Series.Histogram(bounds)
          for (const value of values) histogram.observe(value)
          const state = histogram.state()
          assert.deepStrictEqual(
            state.buckets,
            bounds.map((bound) => [bound, values.filter((value) => value <= bound).length])
          )
          assert.strictEqual(state.count, values.length)
          assert.strictEqual(
            state.sum,
            values.reduce((sum, value) => sum + value, 0)
          )
          assert.deepStrictEqual(
            [state.min, state.max],
            values.length === 0 ? [0, 0] : [Math.min(...values), Math.max(...values)]
          )
        }
      )
    )
  })

  it("once makes a value for each key once", () => {
    let made = 0
    const get = Series.once((key: string) => ({ key, n: ++made }))
    assert.strictEqual(get("a"), get("a"))
    assert.notStrictEqual(get("a"), get("b"))
    assert.strictEqual(made, 2)
  })
})
