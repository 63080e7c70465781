import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Metric, Option, Random, Schema, Stream, Tracer } from "effect"
import { PrometheusMetrics } from "effect/observability"
import { TestClock } from "effect/testing"
import type { Outcome } from "../../../../src/domain/outcome.ts"
import * as Standard from "../../../../src/layers/telemetry/standard.ts"
import { collect } from "../../../../src/programs/collect.ts"
import { complete } from "../../../../src/programs/complete.ts"
import type { RequestRecord, TraceContext } from "../../../../src/services/request-record.ts"
import * as RequestRecords from "../../../../src/services/request-record.ts"
import { Telemetry } from "../../../../src/services/telemetry.ts"
import { chat, chunk, fail, make, streaming, whole } from "../../../support/scripted-ballast.ts"
import { collecting, record, series } from "../../../support/telemetry.ts"

const trace = (sampled: boolean): TraceContext => ({
  traceId: "0af7651916cd43dd8448eb211c80319c",
  spanId: "b7ad6b7169203331",
  sampled,
  incoming: true
})

/** The names of the requests' own spans after these records went by. */
const after = (options: Partial<Standard.Options>, records: ReadonlyArray<RequestRecord>) =>
  Effect.gen(function* () {
    const { spans, tracer } = collecting()
    yield* Effect.gen(function* () {
      const telemetry = yield* Telemetry
      for (const each of records) {
        telemetry.begin(each)
        telemetry.end(each)
      }
    }).pipe(
      Effect.provide(Layer.fresh(Standard.layer({ sampleRatio: 0, slowMs: 10_000, ...options }))),
      Effect.provideService(Tracer.Tracer, tracer),
      Effect.provideService(Metric.MetricRegistry, new Map())
    )
    return spans
  })

const roots = (spans: ReadonlyArray<Tracer.NativeSpan>) => spans.filter(({ kind }) => kind === "server")

describe("standard telemetry: which requests get a span tree", () => {
  it.effect("no good, fast, unsampled one", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* after({}, [record(), record({ endedAt: 1_000 + 10_000 })]), [])
    })
  )

  it.effect("every one at a ratio of 1, its record then names the span", () =>
    Effect.gen(function* () {
      const one = record()
      const spans = yield* after({ sampleRatio: 1 }, [one, record()])
      assert.strictEqual(roots(spans).length, 2)
      assert.deepStrictEqual(one.trace, {
        traceId: spans[0]!.traceId,
        spanId: spans[0]!.spanId,
        sampled: true,
        incoming: false
      })
    })
  )

  it.effect("a share of them in between", () =>
    Effect.gen(function* () {
      const spans = yield* after(
        { sampleRatio: 0.2 },
        Array.from({ length: 1_000 }, () => record())
      )
      assert.isAtLeast(roots(spans).length, 150)
      assert.isAtMost(roots(spans).length, 250)
    }).pipe(Random.withSeed("share"))
  )

  it.effect("slow ones", () =>
    Effect.gen(function* () {
      const spans = yield* after({ slowMs: 300 }, [record({ endedAt: 1_300 }), record({ endedAt: 1_301 })])
      assert.strictEqual(roots(spans).length, 1)
      assert.strictEqual(spans[0]!.name, "chat duo")
    })
  )

  const outcomes: ReadonlyArray<readonly [Outcome, boolean]> = [
    ["ok", false],
    ["cancelled", false],
    ["RateLimitError.Exceeded", false],
    ["RequestError.UnknownModel", false],
    ["AuthError.UnknownKey", false],
    ["KillSwitchError.Off", false],
    ["ShutdownError.Draining", false],
    ["defect", true],
    ["ProviderError.Truncated", true],
    ["DeadlineError.Exceeded", true],
    ["CircuitBreakerError.Open", true],
    ["BulkheadError.QueueFull", true]
  ]
  for (const [outcome, tree] of outcomes) {
    it.effect(`${outcome}: ${tree ? "always" : "only where it is sampled"}`, () =>
      Effect.gen(function* () {
        assert.strictEqual(roots(yield* after({}, [record({ outcome })])).length, tree ? 1 : 0)
        assert.strictEqual(roots(yield* after({ sampleRatio: 1 }, [record({ outcome })])).length, 1)
      })
    )
  }

  it.effect("an answer that is not full: always; a refusal of a client's own limits: not for that alone", () =>
    Effect.gen(function* () {
      const less = record({ rung: "partial", degradedReason: "ProviderError.Truncated" })
      assert.strictEqual(roots(yield* after({}, [less])).length, 1)
      const limited = record({
        outcome: "RateLimitError.Exceeded",
        rung: "refused",
        degradedReason: "RateLimitError.Exceeded"
      })
      assert.strictEqual(roots(yield* after({}, [limited])).length, 0)
    })
  )

  it.effect("as the caller's own traceparent decides; its span is the parent", () =>
    Effect.gen(function* () {
      const sampled = record({ trace: trace(true) })
      const spans = yield* after({ sampleRatio: 0 }, [sampled])
      assert.strictEqual(roots(spans).length, 1)
      assert.strictEqual(Option.getOrUndefined(spans[0]!.parent)?.spanId, "b7ad6b7169203331")
      assert.strictEqual(spans[0]!.traceId, trace(true).traceId)
      // Providers are told of our span, in the caller's trace.
      assert.deepStrictEqual(sampled.trace, { ...trace(true), spanId: spans[0]!.spanId })
      const unsampled = record({ trace: trace(false) })
      assert.deepStrictEqual(yield* after({ sampleRatio: 1 }, [unsampled]), [])
      assert.deepStrictEqual(unsampled.trace, trace(false))
    })
  )

  it.effect("every span is ended", () =>
    Effect.gen(function* () {
      const spans = yield* after({ sampleRatio: 1 }, [record({ stream: true }), record({ outcome: "defect" })])
      assert.isTrue(spans.length > 4 && spans.every(({ status }) => status._tag === "Ended"))
    })
  )

  it.effect("layerNone keeps nothing", () =>
    Effect.gen(function* () {
      const telemetry = yield* Telemetry
      const one = record()
      telemetry.begin(one)
      telemetry.end(one)
      assert.isUndefined(one.trace)
    }).pipe(Effect.provide(Standard.layerNone))
  )
})

/** All strings that a value holds, however deep. */
const texts = (value: unknown, known = new Set<unknown>()): ReadonlyArray<string> => {
  if (typeof value === "string") return [value]
  if (typeof value !== "object" || value === null || known.has(value)) return []
  known.add(value)
  const inner = value instanceof Map ? [...value.entries()].flat() : Array.isArray(value) ? value : []
  const own = Reflect.ownKeys(value).flatMap((key) => [String(key), Reflect.get(value, key) as unknown])
  return [...inner, ...own].flatMap((each) => texts(each, known))
}

describe("promise 11: no prompt text leaves", () => {
  /** What an upstream makes of a prompt; most of them echo it somewhere. */
  const endings = ["whole", "streamed", "refused", "cut", "died", "left"] as const

  it.effect.prop(
    "whatever is in the prompt, the answer or the upstream's error is in no span and no metric",
    [Schema.NonEmptyString, Schema.Literals(endings)],
    ([text, ending]) => {
      const marker = `zq${text}qz`
      const { spans, tracer } = collecting()
      const registry: Metric.MetricRegistry = new Map()
      const { layer } = make({
        open: (call) => {
          switch (ending) {
            case "whole":
              return whole(call, marker)
            case "streamed":
              return streaming(call, marker, Stream.make(chunk(marker)))
            case "refused":
              return fail(call, { _tag: "BadRequest", detail: `no ${marker}`, code: marker, param: marker })
            case "cut":
              return streaming(
                call,
                marker,
                Stream.fromEffect(fail(call, { _tag: "StreamError", detail: marker, code: marker }))
              )
            case "died":
              return Effect.die(new Error(marker))
            case "left":
              return streaming(call, marker, Stream.never)
          }
        }
      })
      return Effect.gen(function* () {
        const request = chat({
          stream: true,
          stop: [marker],
          messages: [
            { role: "system", content: marker },
            { role: "user", content: [{ type: "text", text: marker }] }
          ],
          tools: [{ type: "function", function: { name: marker, description: marker } }],
          metadata: { [marker]: marker }
        })
        const fiber = yield* Effect.forkChild(
          Effect.exit(Effect.scoped(Effect.flatMap(complete(request, JSON.stringify(request)), collect)))
        )
        yield* TestClock.adjust(1_000)
        if (ending === "left") yield* Fiber.interrupt(fiber)
        const exit = yield* Fiber.await(fiber)
        // The answer itself, and the error that the caller gets, have it: the marker was really on its way.
        if (ending !== "left") assert.isTrue(texts(exit).some((found) => found.includes(marker)))
        const context = yield* Effect.context<never>()
        assert.isAtLeast(spans.length, 3)
        assert.isAtLeast(Object.keys(series(context)).length, 3)
        const told = [
          ...texts(spans),
          ...texts(Metric.snapshotUnsafe(context)),
          PrometheusMetrics.formatUnsafe(context)
        ]
        for (const found of told) assert.isFalse(found.includes(marker), found)
      }).pipe(
        Effect.provide(Layer.fresh(Layer.merge(layer, Standard.layer({ sampleRatio: 1, slowMs: 1 })))),
        Effect.provideService(Tracer.Tracer, tracer),
        Effect.provideService(Metric.MetricRegistry, registry)
      )
    },
    { arbitrary: { runs: 60 } }
  )
})

describe("with the rest of Ballast", () => {
  it.effect("a request is in flight from its begin to its end, and the provider hears of our span", () => {
    const { spans, tracer } = collecting()
    const { layer, world } = make({ open: (call) => Effect.delay(whole(call), 100) })
    return Effect.gen(function* () {
      const context = yield* Effect.context<never>()
      const inFlight = () => series(context)["llm_requests_in_flight"]
      const fiber = yield* Effect.forkChild(Effect.scoped(complete(chat())))
      yield* TestClock.adjust(50)
      assert.strictEqual(inFlight(), 1)
      yield* TestClock.adjust(50)
      assert.isTrue(Exit.isSuccess(yield* Fiber.await(fiber)))
      assert.strictEqual(inFlight(), 0)
      assert.strictEqual(world.calls[0]?.request.traceparent, `00-${spans[0]!.traceId}-${spans[0]!.spanId}-01`)
    }).pipe(
      Effect.provide(Layer.fresh(Layer.merge(layer, Standard.layer({ sampleRatio: 1, slowMs: 10_000 })))),
      Effect.provideService(Tracer.Tracer, tracer),
      Effect.provideService(Metric.MetricRegistry, new Map())
    )
  })

  it.effect("an unsampled caller's traceparent goes on to the provider as it came", () => {
    const { layer, world } = make({ open: whole })
    return Effect.gen(function* () {
      const given = RequestRecords.make({
        id: "req-7",
        operation: "chat",
        caller: record().caller,
        startedAt: 0,
        trace: trace(false)
      })
      yield* Effect.provideService(Effect.scoped(complete(chat())), RequestRecords.CurrentRecord, given)
      assert.strictEqual(world.calls[0]?.request.traceparent, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00")
    }).pipe(
      Effect.provide(Layer.fresh(Layer.merge(layer, Standard.layer({ sampleRatio: 1, slowMs: 10_000 })))),
      Effect.provideService(Metric.MetricRegistry, new Map())
    )
  })
})
