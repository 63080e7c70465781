/**
 * Promise 1: interruption is total. A request is interrupted at every moment
 * of its life, with every way of the scheduler to cut it into turns; nothing
 * may be left behind, and the next request must be served as if nothing had been.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Scheduler, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as Caller from "../../../src/domain/caller.ts"
import type { CompleteError } from "../../../src/domain/errors.ts"
import * as Usage from "../../../src/domain/usage.ts"
import { collect } from "../../../src/programs/collect.ts"
import { complete } from "../../../src/programs/complete.ts"
import { embed } from "../../../src/programs/embed.ts"
import type { Guards } from "../../../src/programs/guards.ts"
import { Bulkhead } from "../../../src/services/bulkhead.ts"
import { CurrentCaller } from "../../../src/services/caller.ts"
import { none } from "../../../src/services/deadline.ts"
import { RateLimiter } from "../../../src/services/rate-limiter.ts"
import {
  balanced,
  chat,
  chunk,
  configOf,
  embedded,
  fail,
  make,
  overloaded,
  richRetries,
  streaming,
  turns,
  whole
} from "../../support/scripted-ballast.ts"
import type { Call, Script } from "../../support/scripted-ballast.ts"

const caller = Caller.make("acme")
const tokensPerMinute = 1_000_000

const config = configOf({
  rateLimits: { tenant: { tokensPerMinute }, global: { requestsPerMinute: null } },
  bulkhead: { maxInFlight: 1, maxQueue: 4 },
  breaker: { minimumCalls: 1_000_000 },
  retry: richRetries
})

const ask = Effect.scoped(Effect.flatMap(complete(chat({ stream: true, max_tokens: 100 })), collect))

/** Turns of the scheduler between the start of a request and its interruption. */
const moments = [0, 1, 2, 3, 4, 5, 7, 9, 12, 16]

/** Tokens that the caller's bucket lacks. */
const lacking = Effect.gen(function* () {
  const limiter = yield* RateLimiter
  const { states } = yield* Effect.scoped(limiter.reserve(caller, 0))
  const state = states.find(({ dimension, unit }) => dimension === "tenant" && unit === "tokens")
  return state === undefined ? assert.fail("no token limit") : tokensPerMinute - state.remaining
})

/** Interrupt `request` at every moment of every schedule; `prepare` makes the moment that the title names. */
const sweep = (
  title: string,
  script: Script,
  options: {
    readonly request?: Effect.Effect<unknown, CompleteError, Guards>
    /** Runs in the test's scope before each request; its result is run after it. */
    readonly prepare?: Effect.Effect<Effect.Effect<void>, never, Bulkhead>
    /** Time that passes after the turns and before the interruption, in ms. */
    readonly passes?: ReadonlyArray<number>
    /** What must have been seen in the sweep, so that it cannot be empty. */
    readonly seen: (world: ReturnType<typeof make>["world"]) => boolean
  }
) =>
  it.effect(title, () => {
    const { layer, world } = make(script, config)
    return Effect.gen(function* () {
      const request: Effect.Effect<unknown, CompleteError, Guards> = options.request ?? ask
      for (let ops = 3; ops <= 64; ops++) {
        for (const moment of moments) {
          const passes = options.passes?.[(ops + moment) % options.passes.length] ?? 0
          const where = `${ops} operations a turn, turn ${moment}, after ${passes} ms`
          const free = yield* options.prepare ?? Effect.succeed(Effect.void)
          const fiber = yield* request.pipe(
            Effect.provideService(CurrentCaller, caller),
            Effect.provideService(Scheduler.MaxOpsBeforeYield, ops),
            Effect.forkChild
          )
          yield* turns(moment)
          if (passes > 0) yield* TestClock.adjust(passes)
          yield* Fiber.interrupt(fiber)
          yield* free
          // A child that was interrupted without being waited for has its last turns.
          yield* turns(3)
          yield* balanced(world, where)
        }
      }
      assert.isTrue(options.seen(world), "the moment was never there")
      // What was not settled was given back in full.
      if (world.charges.every(({ settled }) => settled.length === 0)) assert.strictEqual(yield* lacking, 0)
    }).pipe(Effect.provideService(CurrentCaller, caller), Effect.provide(layer))
  })

/** Provider `one` and `two` are full until the effect is run. */
const full = Effect.flatMap(Bulkhead, (bulkhead) =>
  Effect.forEach(["one", "two"], (key) =>
    Effect.forkDetach(
      Effect.scoped(
        Effect.andThen(
          bulkhead.acquire({
            key,
            tenant: "other",
            tokens: 1,
            plan: "standard",
            priority: "critical",
            streamed: true,
            deadline: none
          }),
          Effect.never
        )
      ),
      { startImmediately: true }
    )
  )
).pipe(Effect.map(Fiber.interruptAll))

/** A call that takes its time in every way: some turns, then some ms. */
const slowly = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.andThen(turns(2), Effect.andThen(Effect.sleep(5), self))

/** A stream that tells its usage late and never ends. */
const dripping = (call: Call) =>
  streaming(
    call,
    "De",
    Stream.fromIterable(["ep", ".", " Very"]).pipe(
      Stream.mapEffect((text) => Effect.as(turns(2), chunk(text))),
      Stream.concat(Stream.fromEffect(Effect.delay(Effect.succeed(chunk(Usage.make(100, 20))), 20))),
      Stream.concat(Stream.never)
    )
  )

describe("promise 1: interruption is total", () => {
  sweep(
    "before and while the call is opened",
    { open: () => Effect.never },
    {
      passes: [0, 10, 5_000],
      seen: ({ calls, ended }) => calls.length > 0 && ended.every(({ outcome }) => outcome === "cancelled")
    }
  )

  sweep(
    "as the first token comes",
    { open: (call) => slowly(streaming(call, "De", Stream.never)) },
    {
      passes: [0, 4, 5, 6],
      seen: ({ ended }) => ended.some(({ chunks }) => chunks === 1) && ended.some(({ chunks }) => chunks === 0)
    }
  )

  sweep(
    "in the queue, and as a place is handed over",
    { open: () => Effect.never },
    {
      prepare: full,
      passes: [0, 10],
      seen: ({ calls, ended }) => calls.length === 0 && ended.some(({ attempts }) => attempts.length > 0)
    }
  )

  sweep(
    "in the pause before a retry, and as the retry begins",
    { open: (call) => (call.n % 2 === 1 ? fail(call, overloaded(50)) : Effect.never) },
    {
      passes: [0, 40, 60, 100, 200],
      seen: ({ budget, ended }) =>
        budget.drawn > 0 &&
        ended.some(({ attempts }) => attempts.length === 1) &&
        ended.some(({ attempts }) => attempts.length === 2)
    }
  )

  sweep(
    "between a call that failed and the next candidate",
    {
      open: (call) =>
        call.candidate.provider === "one"
          ? Effect.andThen(turns(1), fail(call, { _tag: "QuotaExhausted", detail: "x" }))
          : slowly(whole(call))
    },
    {
      passes: [0, 5, 6],
      seen: ({ budget, ended }) => budget.drawn > 0 && ended.some(({ outcome }) => outcome === "cancelled")
    }
  )

  sweep(
    "in the middle of a stream",
    { open: dripping },
    {
      passes: [0, 10, 30],
      seen: ({ ended }) =>
        ended.every(({ outcome }) => outcome === "cancelled") &&
        ended.some(({ usageExact }) => usageExact) &&
        ended.some(({ chunks, usageExact }) => chunks > 2 && !usageExact)
    }
  )

  sweep(
    "as a whole answer comes",
    { open: (call) => slowly(whole(call)) },
    {
      request: Effect.scoped(Effect.andThen(complete(chat({ max_tokens: 100 })), Effect.never)),
      passes: [0, 4, 5, 6],
      seen: ({ ended }) =>
        ended.some(({ outcome }) => outcome === "ok") && ended.some(({ outcome }) => outcome === "cancelled")
    }
  )

  sweep(
    "of an embedding",
    { embed: (call) => slowly(embedded(call)) },
    {
      request: Effect.scoped(Effect.andThen(embed({ model: "vectors", input: "hull" }), Effect.never)),
      passes: [0, 4, 5, 6],
      seen: ({ ended }) =>
        ended.some(({ outcome }) => outcome === "ok") && ended.some(({ outcome }) => outcome === "cancelled")
    }
  )

  it.effect("the place of a caller that leaves goes to the next in the queue", () => {
    const { layer, world } = make({ open: (call) => (call.n % 2 === 1 ? Effect.never : whole(call)) }, config)
    return Effect.gen(function* () {
      for (let ops = 3; ops <= 64; ops++) {
        const solo = Effect.scoped(Effect.flatMap(complete(chat({ model: "solo" })), collect))
        const [first, second] = yield* Effect.forEach([1, 2], () =>
          Effect.forkChild(Effect.provideService(solo, Scheduler.MaxOpsBeforeYield, ops))
        )
        yield* turns(30)
        first!.interruptUnsafe()
        yield* Fiber.join(second!)
        yield* Fiber.await(first!)
        yield* balanced(world, `${ops}`)
      }
      assert.strictEqual(world.calls.length, 2 * 62)
    }).pipe(Effect.provide(layer))
  })

  it.effect("the provider hears of it before 100 ms have passed", () => {
    const { layer, world } = make({ open: () => Effect.never })
    return Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(ask)
      yield* TestClock.adjust(2_000)
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(world.calls[0]?.closedAt, 2_000)
      yield* balanced(world)
    }).pipe(Effect.provide(layer))
  })
})
