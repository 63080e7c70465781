/** A tracer that keeps its spans, a metric registry of one's own, and records to feed them with. */
import { Effect, Metric, Tracer } from "effect"
import type { Context } from "effect"
import * as Caller from "../../src/domain/caller.ts"
import type { Outcome } from "../../src/domain/outcome.ts"
import type { Attempt } from "../../src/services/attempts.ts"
import * as RequestRecord from "../../src/services/request-record.ts"

/** Spans in the order of their beginning. */
export const collecting = () => {
  const spans: Array<Tracer.NativeSpan> = []
  const tracer = Tracer.make({
    span: (options) => {
      const span = new Tracer.NativeSpan(options)
      spans.push(span)
      return span
    }
  })
  return { spans, tracer }
}

/** One series as text: `name{label=value,…}`, labels in order of name. */
const nameOf = ({ attributes, id }: Metric.Metric.Snapshot): string => {
  const labels = Object.entries(attributes ?? {}).toSorted(([a], [b]) => (a < b ? -1 : 1))
  return labels.length === 0 ? id : `${id}{${labels.map(([key, value]) => `${key}=${value}`).join(",")}}`
}

/** All series of a registry by name: counts and values as numbers, histograms as their state. */
export const series = (context: Context.Context<never>): Record<string, number | Metric.HistogramState> =>
  Object.fromEntries(
    Metric.snapshotUnsafe(context).map((metric): [string, number | Metric.HistogramState] => {
      const name = nameOf(metric)
      if (metric.type === "Counter") return [name, Number(metric.state.count)]
      if (metric.type === "Gauge") return [name, Number(metric.state.value)]
      if (metric.type === "Histogram") return [name, metric.state]
      throw new Error(`no such metric here: ${metric.type}`)
    })
  )

/** A context with a registry of its own. */
export const freshRegistry: Effect.Effect<Context.Context<never>> = Effect.suspend(() =>
  Effect.provideService(Effect.context<never>(), Metric.MetricRegistry, new Map())
)

export const attempt = (more: Partial<Attempt> = {}): Attempt => ({
  candidate: { provider: "one", model: "m1" },
  retry: 0,
  hedge: false,
  called: true,
  startedAt: 1_000,
  openedAt: undefined,
  endedAt: undefined,
  outcome: "ok",
  ...more
})

/** A request of tenant `acme` from 1,000 to 1,400 ms that was answered. */
export const record = (
  more: Partial<Omit<RequestRecord.RequestRecord, "attempts">> & {
    readonly attempts?: ReadonlyArray<Attempt>
    readonly tenant?: string
  } = {}
): RequestRecord.RequestRecord => {
  const { attempts = [attempt({ openedAt: 1_150, endedAt: 1_400 })], tenant = "acme", ...rest } = more
  return {
    ...RequestRecord.make({ id: "req-1", operation: "chat", caller: Caller.make(tenant), startedAt: 1_000 }),
    model: "duo",
    candidate: { provider: "one", model: "m1" },
    admittedAt: 1_010,
    openedAt: 1_150,
    endedAt: 1_400,
    chunks: 1,
    outcome: "ok" satisfies Outcome,
    ...rest,
    attempts: [...attempts]
  }
}
