import { assert, describe, it } from "@effect/vitest"
import { Context, Metric } from "effect"
import { PrometheusMetrics } from "effect/observability"
import * as fc from "fast-check"
import * as Series from "../../../../src/layers/telemetry/series.ts"
import * as Prometheus from "../../../support/prometheus.ts"

/** A context with a registry of its own, its page, and the state of a series in it. */
const registry = () => {
  const context = Context.make(Metric.MetricRegistry, new Map())
  return {
    context,
    page: () => Prometheus.parse(PrometheusMetrics.formatUnsafe(context)),
    state: (name: string) => Metric.snapshotUnsafe(context).find(({ id }) => id === name)?.state
  }
}

describe("a series", () => {
  it("is in the registry what its fields are, whenever one looks", () => {
    const { context, state } = registry()
    const counter = Series.counter(context, "things_total", "Things", { kind: "a" })
    assert.deepStrictEqual(state("things_total"), { count: 0, incremental: true })
    counter.count += 2
    counter.count += 0.5
    assert.deepStrictEqual(state("things_total"), { count: 2.5, incremental: true })

    let level = 3
    Series.gauge(context, "level", "The level", {}, () => level)
    assert.deepStrictEqual(state("level"), { value: 3 })
    level = -1
    assert.deepStrictEqual(state("level"), { value: -1 })

    const histogram = Series.histogram(context, "size", "Sizes", [1, 10], {})
    for (const value of [0.5, 1, 4, 99]) histogram.observe(value)
    assert.deepStrictEqual(state("size"), {
      buckets: [
        [1, 2],
        [10, 3]
      ],
      count: 4,
      min: 0.5,
      max: 99,
      sum: 104.5
    })
  })

  it("is one of its own for each set of labels", () => {
    const { context, page } = registry()
    const [a, b] = ["a", "b"].map((kind) => Series.counter(context, "things_total", "Things", { kind }))
    a!.count = 1
    b!.count = 2
    const families = page()
    assert.strictEqual(families.size, 1)
    assert.strictEqual(Prometheus.value(families, "things_total", { kind: "a" }), 1)
    assert.strictEqual(Prometheus.value(families, "things_total", { kind: "b" }), 2)
  })

  it("is a valid page of Prometheus, whatever its labels say", () => {
    const { context, page } = registry()
    const model = 'a "model" \\ with\nlines, {braces} and ü'
    Series.counter(context, "things_total", "Things\nof \\ all kinds", { model }).count = 3
    Series.gauge(context, "level", "The level", {}, () => 0.25)
    Series.histogram(context, "wait_seconds", "Waits", [0.1, 1], { model }).observe(0.2)
    const families = page()
    assert.deepStrictEqual(
      [...families.values()].map(({ name, type }) => [name, type]),
      [
        ["things_total", "counter"],
        ["level", "gauge"],
        ["wait_seconds", "histogram"]
      ]
    )
    assert.strictEqual(Prometheus.value(families, "things_total", { model }), 3)
    assert.strictEqual(Prometheus.value(families, "level"), 0.25)
    const bucket = (le: string) => Prometheus.value(families, "wait_seconds_bucket", { model, le })
    assert.deepStrictEqual(["0.1", "1", "+Inf"].map(bucket), [0, 1, 1])
    assert.strictEqual(Prometheus.value(families, "wait_seconds_sum", { model }), 0.2)
    assert.strictEqual(Prometheus.value(families, "wait_seconds_count", { model }), 1)
  })

  it("of a histogram nothing was observed in is all zero", () => {
    const { context, page } = registry()
    Series.histogram(context, "wait_seconds", "Waits", [0.1, 1], {})
    const families = page()
    assert.deepStrictEqual(Prometheus.histogramMistakes(families), [])
    assert.strictEqual(Prometheus.value(families, "wait_seconds_count"), 0)
  })

  it("of a histogram counts every observation under each bound that is not below it", () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.integer({ min: 1, max: 1_000 }), { minLength: 1, maxLength: 8 }),
        fc.array(fc.integer({ min: 0, max: 1_200 }), { maxLength: 50 }),
        (unordered, values) => {
          const bounds = unordered.toSorted((one, other) => one - other)
          const { context, page } = registry()
          const histogram = Series.histogram(context, "size", "Sizes", bounds, {})
          for (const each of values) histogram.observe(each)
          const families = page()
          assert.deepStrictEqual(Prometheus.histogramMistakes(families), [])
          for (const bound of bounds) {
            assert.strictEqual(
              Prometheus.value(families, "size_bucket", { le: String(bound) }),
              values.filter((each) => each <= bound).length
            )
          }
          assert.strictEqual(Prometheus.value(families, "size_count"), values.length)
          assert.strictEqual(
            Prometheus.value(families, "size_sum"),
            values.reduce((sum, each) => sum + each, 0)
          )
        }
      )
    )
  })
})

describe("once", () => {
  it("makes a value once for each key", () => {
    const made: Array<string> = []
    const get = Series.once((key: string) => {
      made.push(key)
      return { key }
    })
    assert.strictEqual(get("a"), get("a"))
    assert.notStrictEqual(get("a"), get("b"))
    assert.deepStrictEqual(made, ["a", "b"])
  })
})
