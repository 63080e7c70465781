/**
 * What the process itself is doing, read when somebody looks: memory and the
 * delay of the event loop.
 */
import { monitorEventLoopDelay } from "node:perf_hooks"
import { Effect, Layer } from "effect"
import * as Series from "../../layers/telemetry/series.ts"

/** Registers the process's gauges in the registry of the context. */
export const layer: Layer.Layer<never> = Layer.effectDiscard(
  Effect.gen(function* () {
    const context = yield* Effect.context<never>()
    const delay = yield* Effect.acquireRelease(
      Effect.sync(() => {
        const histogram = monitorEventLoopDelay({ resolution: 20 })
        histogram.enable()
        return histogram
      }),
      (histogram) => Effect.sync(() => histogram.disable())
    )
    const gauge = (name: string, description: string, labels: Series.Labels, read: () => number) =>
      Series.gauge(context, name, description, labels, read)
    gauge("process_resident_memory_bytes", "Resident memory", {}, () => process.memoryUsage.rss())
    gauge("nodejs_heap_used_bytes", "Live and dead objects on the heap", {}, () => process.memoryUsage().heapUsed)
    for (const quantile of [0.5, 0.99]) {
      gauge(
        "nodejs_eventloop_delay_seconds",
        "Delay of the event loop beyond its sampling interval",
        { quantile: String(quantile) },
        () => Math.max(0, delay.percentile(quantile * 100) / 1e9 - 0.02)
      )
    }
  })
)
