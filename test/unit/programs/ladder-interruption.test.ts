/**
 * Interruption on every rung of the brownout ladder, at every moment, with
 * every way of the scheduler to cut a request into turns: nothing is left
 * behind, and nothing is billed twice.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Scheduler, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as Caller from "../../../src/domain/caller.ts"
import * as Usage from "../../../src/domain/usage.ts"
import { collect } from "../../../src/programs/collect.ts"
import { complete } from "../../../src/programs/complete.ts"
import type { Guards } from "../../../src/programs/guards.ts"
import type { CompleteError, ProviderReason } from "../../../src/domain/errors.ts"
import { CurrentCaller } from "../../../src/services/caller.ts"
import { CircuitBreaker } from "../../../src/services/circuit-breaker.ts"
import { StaleAnswers } from "../../../src/services/stale-answers.ts"
import {
  balanced,
  chat,
  chunk,
  completionOf,
  configOf,
  fail,
  make,
  richRetries,
  streaming,
  turns,
  whole
} from "../../support/scripted-ballast.ts"
import type { Call, Script } from "../../support/scripted-ballast.ts"

const price = { inputPerMillion: 1, outputPerMillion: 2 }

const config = configOf(
  {
    rateLimits: { tenant: { tokensPerMinute: 1_000_000 }, global: { requestsPerMinute: null } },
    bulkhead: { maxInFlight: 1, maxQueue: 4 },
    breaker: { minimumCalls: 1_000_000 },
    retry: { maxRetries: 0, ...richRetries },
    brownout: { partial: true, shorter: { maxTokens: 10, above: 0, critical: true } }
  },
  {
    models: [
      { alias: "large", candidates: ["one/large"], price, smaller: "small" },
      { alias: "small", candidates: ["two/small"], price }
    ]
  }
)

const quota: ProviderReason = { _tag: "QuotaExhausted", detail: "none left" }
const truncated: ProviderReason = { _tag: "Truncated", detail: "cut" }

const moments = [0, 1, 2, 3, 4, 5, 7, 9, 12, 16, 24]

/** Takes its time in every way: some turns, then some ms. */
const slowly = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.andThen(turns(2), Effect.andThen(Effect.sleep(5), self))

/** A stream of some words, slowly, that breaks off. */
const breaking = (call: Call) =>
  streaming(
    call,
    "De",
    Stream.make("ep", ".", " Very").pipe(
      Stream.mapEffect((text) => Effect.as(turns(1), chunk(text))),
      Stream.concat(Stream.fromEffect(slowly(fail(call, truncated))))
    )
  )

const earlier = completionOf("As I said.", Usage.make(7, 7))
const answer = {
  answer: { _tag: "Whole" as const, completion: earlier, data: JSON.stringify(earlier) },
  candidate: { provider: "one", model: "large" },
  ageMs: 1_000
}

const ask = (stream: boolean): Effect.Effect<unknown, CompleteError, Guards> =>
  Effect.scoped(Effect.flatMap(complete(chat({ model: "large", stream, max_tokens: 100 })), collect))

const sweep = (
  title: string,
  script: Script,
  options: {
    readonly stream?: boolean
    readonly stale?: Layer.Layer<StaleAnswers>
    readonly prepare?: Effect.Effect<void, never, Guards>
    readonly passes: ReadonlyArray<number>
    /** What must have been seen in the sweep, so that it cannot be empty. */
    readonly seen: (world: ReturnType<typeof make>["world"]) => boolean
  }
) =>
  it.effect(title, () => {
    const { layer, world } = make(script, config)
    return Effect.gen(function* () {
      for (let ops = 3; ops <= 64; ops++) {
        for (const moment of moments) {
          const passes = options.passes[(ops + moment) % options.passes.length] ?? 0
          yield* options.prepare ?? Effect.void
          const fiber = yield* ask(options.stream ?? false).pipe(
            Effect.provideService(Scheduler.MaxOpsBeforeYield, ops),
            Effect.forkChild
          )
          yield* turns(moment)
          if (passes > 0) yield* TestClock.adjust(passes)
          yield* Fiber.interrupt(fiber)
          yield* turns(3)
          yield* balanced(world, `${ops} operations a turn, turn ${moment}, after ${passes} ms`)
        }
      }
      assert.isTrue(options.seen(world), "the moment was never there")
    }).pipe(
      Effect.provideService(CurrentCaller, Caller.make("acme")),
      Effect.provide(options.stale === undefined ? layer : Layer.merge(layer, options.stale))
    )
  })

const rungs = (world: ReturnType<typeof make>["world"]) => new Set(world.ended.map(({ rung }) => rung))
const cancelled = (world: ReturnType<typeof make>["world"]) =>
  world.ended.some(({ outcome }) => outcome === "cancelled")

describe("interruption on the ladder", () => {
  sweep(
    "while an earlier answer is looked up, and as it comes",
    { open: (call) => fail(call, quota) },
    {
      stale: Layer.succeed(StaleAnswers, { lookup: () => slowly(Effect.succeed(answer)) }),
      passes: [0, 4, 5, 6],
      seen: (world) => rungs(world).has("stale") && cancelled(world)
    }
  )

  sweep(
    "while a smaller model is asked, and as it answers",
    { open: (call) => (call.candidate.model === "large" ? fail(call, quota) : slowly(whole(call))) },
    {
      passes: [0, 4, 5, 6],
      seen: (world) => rungs(world).has("smaller-model") && cancelled(world) && world.budget.drawn > 0
    }
  )

  sweep(
    "while a smaller model is asked after a mere refusal",
    { open: (call) => slowly(whole(call)) },
    {
      prepare: Effect.flatMap(CircuitBreaker, (breaker) => breaker.trip("one/large", 60_000)),
      passes: [0, 4, 5, 6],
      seen: (world) => rungs(world).has("smaller-model") && cancelled(world) && world.budget.drawn === 0
    }
  )

  sweep(
    "while a whole answer is collected, breaks off, and becomes a partial one",
    { open: (call) => (call.candidate.model === "large" ? breaking(call) : slowly(fail(call, quota))) },
    {
      passes: [0, 4, 5, 6, 10, 12],
      seen: (world) => rungs(world).has("partial") && cancelled(world)
    }
  )

  sweep(
    "while a whole answer is cut at the deadline",
    { open: (call) => streaming(call, "De", Stream.concat(Stream.make(chunk("ep")), Stream.never)) },
    {
      passes: [0, 7_990, 8_000, 8_010, 8_020],
      seen: (world) => rungs(world).has("partial") && cancelled(world)
    }
  )

  sweep(
    "while a stream is ended as a partial answer",
    { open: breaking },
    {
      stream: true,
      passes: [0, 4, 5, 6],
      seen: (world) => rungs(world).has("partial") && cancelled(world)
    }
  )
})
