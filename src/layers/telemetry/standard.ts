/**
 * The standard telemetry: metrics from every record; a span tree from the
 * sampled, the failed, the degraded and the slow. The tracer and the metric registry are
 * those of the context in which the layer is built.
 */
import { Context, Effect, Layer, Random, Tracer } from "effect"
import type { Outcome } from "../../domain/outcome.ts"
import type { RequestRecord } from "../../services/request-record.ts"
import { Telemetry } from "../../services/telemetry.ts"
import * as Metrics from "./metrics.ts"
import * as Spans from "./spans.ts"

/** Which requests get a span tree. */
export interface Options {
  /** Share of the good requests, 0 to 1; a caller's own `traceparent` decides for its requests. */
  readonly sampleRatio: number
  /** Requests longer than this (ms) get one in any case. */
  readonly slowMs: number
}

/** Failures of ours or of a provider; a refusal that a client's own limits or input explain is none. */
const isFailure = (outcome: Outcome): boolean =>
  outcome === "defect" ||
  outcome.startsWith("ProviderError.") ||
  outcome.startsWith("DeadlineError.") ||
  outcome.startsWith("CircuitBreakerError.") ||
  outcome.startsWith("BulkheadError.") ||
  outcome.startsWith("PacerError.")

/** An answer that is less than was asked for. */
const isDegraded = ({ outcome, rung }: RequestRecord): boolean => outcome === "ok" && rung !== "full"

export const layer = (options: Options): Layer.Layer<Telemetry> =>
  Layer.effect(
    Telemetry,
    Effect.gen(function* () {
      const context = yield* Effect.context<never>()
      const tracer = yield* Effect.tracer
      const random = Context.get(context, Random.Random)
      const metrics = Metrics.make(context)
      const open = new WeakMap<RequestRecord, Tracer.Span>()
      return Telemetry.of({
        begin: (record) => {
          metrics.begin()
          const sampled =
            record.trace?.incoming === true ? record.trace.sampled : random.nextDoubleUnsafe() < options.sampleRatio
          if (!sampled) return
          const span = Spans.begin(tracer, record)
          open.set(record, span)
          record.trace = {
            traceId: span.traceId,
            spanId: span.spanId,
            sampled: true,
            incoming: record.trace?.incoming === true
          }
        },
        end: (record) => {
          metrics.end(record)
          const span = open.get(record)
          const slow = (record.endedAt ?? record.startedAt) - record.startedAt > options.slowMs
          if (span !== undefined) Spans.end(tracer, record, span)
          else if (slow || isFailure(record.outcome) || isDegraded(record))
            Spans.end(tracer, record, Spans.begin(tracer, record))
        }
      })
    })
  )

/** Telemetry that keeps nothing, for programs that have no use for it. */
export const layerNone: Layer.Layer<Telemetry> = Layer.succeed(Telemetry, { begin: () => {}, end: () => {} })
