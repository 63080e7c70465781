import { performance } from "node:perf_hooks"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Metric } from "effect"
import { PrometheusMetrics } from "effect/observability"
import * as ProcessMetrics from "../../../../src/programs/server/process-metrics.ts"
import * as Prometheus from "../../../support/prometheus.ts"

const page = Effect.map(PrometheusMetrics.format(), Prometheus.parse)

/** Keep the event loop from turning. */
const block = (ms: number) => {
  const until = performance.now() + ms
  while (performance.now() < until) {
    // On purpose.
  }
}

describe("process metrics", () => {
  it.live("are read when one looks, in a registry of their own", () =>
    Effect.gen(function* () {
      yield* Layer.build(ProcessMetrics.layer)
      const families = yield* page
      assert.deepStrictEqual(
        [...families.values()].map(({ name, type }) => [name, type]),
        [
          ["process_resident_memory_bytes", "gauge"],
          ["nodejs_heap_used_bytes", "gauge"],
          ["nodejs_eventloop_delay_seconds", "gauge"]
        ]
      )
      const resident = Prometheus.value(families, "process_resident_memory_bytes") ?? 0
      assert.isAbove(resident, 10_000_000)
      assert.isBelow(Prometheus.value(families, "nodejs_heap_used_bytes") ?? 0, resident)
      assert.strictEqual(families.get("nodejs_eventloop_delay_seconds")?.samples.length, 2)
    }).pipe(
      Effect.provideServiceEffect(
        Metric.MetricRegistry,
        Effect.sync(() => new Map())
      )
    )
  )

  it.live("tell of an event loop that was blocked", () =>
    Effect.gen(function* () {
      yield* Layer.build(ProcessMetrics.layer)
      const delay = Effect.map(page, (families) =>
        Prometheus.value(families, "nodejs_eventloop_delay_seconds", { quantile: "0.99" })
      )
      // The monitor tells nobody when it has looked: block again until it has.
      const look = Effect.suspend(() => {
        block(100)
        return Effect.delay(delay, 25)
      })
      const seen = yield* Effect.repeat(look, { until: (seconds) => seconds !== undefined && seconds >= 0.05 })
      assert.isBelow(seen ?? Infinity, 10)
    }).pipe(
      Effect.provideServiceEffect(
        Metric.MetricRegistry,
        Effect.sync(() => new Map())
      )
    )
  )
})
