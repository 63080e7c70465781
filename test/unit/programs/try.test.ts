/** What is told of one try when its call answers, fails or is cut: to the breaker, to the bulkhead, to hedging. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Stream } from "effect"
import { TestClock } from "effect/testing"
import { CircuitBreakerError } from "../../../src/domain/errors.ts"
import type { CompleteError, ProviderReason } from "../../../src/domain/errors.ts"
import { complete } from "../../../src/programs/complete.ts"
import type { Guards } from "../../../src/programs/guards.ts"
import { Bulkhead } from "../../../src/services/bulkhead.ts"
import * as BulkheadPort from "../../../src/services/bulkhead.ts"
import { CircuitBreaker } from "../../../src/services/circuit-breaker.ts"
import * as Breaker from "../../../src/services/circuit-breaker.ts"
import { Deadline, none } from "../../../src/services/deadline.ts"
import * as Hedging from "../../support/hedging.ts"
import {
  balanced,
  chat,
  configOf,
  fail,
  make,
  overloaded,
  streaming,
  turns,
  whole
} from "../../support/scripted-ballast.ts"
import type { Script } from "../../support/scripted-ballast.ts"

const ask = Effect.scoped(complete(chat({ model: "solo" })))
const askStream = Effect.scoped(complete(chat({ model: "solo", stream: true })))

const oneTry = (open: NonNullable<Script["open"]>, policies: Parameters<typeof configOf>[0] = {}) =>
  make({ open }, configOf({ retry: { maxRetries: 0, budgetMax: 0 }, ...policies }))

/** Run it for `forMs`. */
const during = <A, E, R>(forMs: number, self: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(Effect.exit(self))
    yield* TestClock.adjust(forMs)
    return yield* Fiber.join(fiber)
  })

/** What the breaker is told of a try that fails for `reason`. */
const heard = (reason: ProviderReason) => {
  const { layer, world } = oneTry((call) => fail(call, reason))
  return Effect.as(during(1, ask), world.verdicts).pipe(Effect.provide(layer))
}

describe("what the breaker hears", () => {
  it.effect("failures of the provider, with what it asked for", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* heard(overloaded(700)), ["one/m1: fail 700"])
      assert.deepStrictEqual(yield* heard({ _tag: "ServerError", detail: "x" }), ["one/m1: fail"])
      assert.deepStrictEqual(yield* heard({ _tag: "Unreachable", detail: "x" }), ["one/m1: fail"])
    })
  )

  it.effect("nothing of the caller's own mistakes, of limits and of refusals", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* heard({ _tag: "BadRequest", detail: "x" }), [])
      assert.deepStrictEqual(yield* heard({ _tag: "RateLimited", detail: "x", retryAfterMs: 100 }), [])
      assert.deepStrictEqual(yield* heard({ _tag: "TooLarge", detail: "x" }), [])
      const full = oneTry(whole, { bulkhead: { maxInFlight: 1, maxQueue: 0 } })
      yield* Effect.gen(function* () {
        const bulkhead = yield* Bulkhead
        yield* bulkhead.acquire({
          key: "one",
          tenant: "other",
          tokens: 1,
          plan: "standard",
          priority: "critical",
          streamed: true,
          deadline: none
        })
        yield* during(1, ask)
        assert.deepStrictEqual(full.world.verdicts, [])
        assert.strictEqual(full.world.ended[0]?.outcome, "BulkheadError.QueueFull")
      }).pipe(Effect.provide(full.layer))
    })
  )

  it.effect("nothing of a caller that left", () => {
    const { layer, world } = oneTry(() => Effect.never)
    return Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(ask)
      yield* TestClock.adjust(5_000)
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(world.verdicts, [])
      yield* balanced(world)
    }).pipe(Effect.provide(layer))
  })

  it.effect("a probe whose caller left gives its place to another", () => {
    const { layer, world } = oneTry((call) => (call.n === 1 ? Effect.never : whole(call)), { breaker: { probes: 1 } })
    return Effect.gen(function* () {
      const breaker = yield* CircuitBreaker
      yield* breaker.trip("one/m1", 1_000)
      yield* TestClock.adjust(1_000)
      const probe = yield* Effect.forkChild(ask)
      yield* turns(5)
      assert.strictEqual((yield* Effect.flip(ask)).reason._tag, "Probing")
      yield* Fiber.interrupt(probe)
      yield* ask
      assert.strictEqual(yield* breaker.state("one/m1"), "closed")
      yield* balanced(world)
    }).pipe(Effect.provide(layer))
  })

  it.effect("of a call that our own deadline ended, its time alone", () => {
    const { layer, world } = oneTry(() => Effect.never)
    return Effect.gen(function* () {
      yield* during(600, Effect.provideService(ask, Deadline, { atMs: 500, budgetMs: 500 }))
      assert.strictEqual(world.verdicts.length, 1)
      const [, ms] = /^one\/m1: cutShort (\d+)$/.exec(world.verdicts[0] ?? "") ?? []
      assert.isAtLeast(Number(ms), 500)
      assert.isAtMost(Number(ms), 510)
    }).pipe(Effect.provide(layer))
  })

  it.effect("the time to the first token without the queue", () => {
    const { layer, world } = oneTry((call) => Effect.delay(whole(call), 200), { bulkhead: { maxInFlight: 1 } })
    return Effect.gen(function* () {
      const fibers = yield* Effect.forEach([1, 2, 3], () => Effect.forkChild(ask))
      yield* turns(2)
      yield* TestClock.adjust(700)
      yield* Fiber.awaitAll(fibers)
      assert.deepStrictEqual(
        world.verdicts,
        Array.from({ length: 3 }, () => "one/m1: succeed 200")
      )
    }).pipe(Effect.provide(layer))
  })
})

describe("what the bulkhead hears", () => {
  /** What a permit is told by one request; one provider, one call. */
  const told = (
    open: NonNullable<Script["open"]>,
    request: Effect.Effect<unknown, CompleteError, Guards>,
    over: Layer.Layer<Breaker.CircuitBreaker, never, Breaker.CircuitBreaker> = Layer.effect(
      Breaker.CircuitBreaker,
      Breaker.CircuitBreaker
    )
  ) => {
    const reports: Array<string> = []
    const recording = Layer.succeed(
      Bulkhead,
      BulkheadPort.make({
        acquireUnsafe: () => () =>
          Effect.succeed({
            waitedMs: 0,
            firstToken: (ms) => void reports.push(`first token ${ms}`),
            pace: () => {},
            answered: () => {},
            dropped: () => void reports.push("dropped"),
            settle: () => {},
            unused: () => void reports.push("unused"),
            release: () => void reports.push("released")
          }),
        tryAcquireUnsafe: () => undefined,
        state: () => Effect.succeed({ limit: 1, inFlight: 0, queued: 0 })
      })
    )
    return Effect.as(during(1_000, request), reports).pipe(
      Effect.provide(Layer.provideMerge(over, Layer.merge(oneTry(open).layer, recording)))
    )
  }

  it.effect("that its place was not used, where the breaker opened in the meantime", () =>
    Effect.gen(function* () {
      const asked: Array<string> = []
      const turned = Layer.effect(
        Breaker.CircuitBreaker,
        Effect.map(Breaker.CircuitBreaker, (breaker) =>
          Breaker.make({
            ...breaker,
            acquireUnsafe: (key) => (restore, id) => {
              asked.push(key)
              return asked.length > 1
                ? Effect.fail(new CircuitBreakerError({ reason: { _tag: "Open", key, retryAfterMs: 1_000 } }))
                : Effect.map(breaker.acquireUnsafe(key)(restore, id), (lease) => ({
                    begin: () => false,
                    succeed: (ms: number) => lease.succeed(ms),
                    fail: (ms?: number) => lease.fail(ms),
                    gap: (ms: number) => lease.gap(ms),
                    cutShort: (ms: number) => lease.cutShort(ms),
                    release: () => lease.release()
                  }))
            }
          })
        )
      )
      assert.deepStrictEqual(yield* told((call) => whole(call), Effect.ignore(ask), turned), ["unused"])
    })
  )

  it.effect("the first token of a stream, and not the time of a whole answer", () =>
    Effect.gen(function* () {
      const stream = yield* told((call) => Effect.delay(streaming(call, "a", Stream.empty), 200), askStream)
      assert.deepStrictEqual(stream, ["first token 200", "released"])
      assert.deepStrictEqual(yield* told((call) => Effect.delay(whole(call), 200), ask), ["released"])
    })
  )

  it.effect("that the provider has too much to do, before the place goes back", () =>
    Effect.gen(function* () {
      for (const reason of [overloaded(), { _tag: "RateLimited", detail: "x" } satisfies ProviderReason]) {
        assert.deepStrictEqual(yield* told((call) => fail(call, reason), ask), ["dropped", "released"])
      }
      assert.deepStrictEqual(yield* told((call) => fail(call, { _tag: "ServerError", detail: "x" }), ask), ["released"])
    })
  )
})

describe("what hedging hears", () => {
  const observed = (open: NonNullable<Script["open"]>, request: typeof ask) => {
    const { layer, log } = Hedging.fixed(undefined)
    return Effect.as(during(10_000, request), log.observed).pipe(Effect.provide(Layer.merge(oneTry(open).layer, layer)))
  }

  it.effect("first tokens of streams, and how long one was waited for in vain", () =>
    Effect.gen(function* () {
      const answers = yield* observed((call) => Effect.delay(streaming(call, "a", Stream.empty), 200), askStream)
      assert.deepStrictEqual(answers, ["one/m1: 200"])
      const fails = yield* observed((call) => Effect.delay(fail(call, overloaded()), 300), askStream)
      assert.deepStrictEqual(fails, ["one/m1: 300 censored"])
      assert.deepStrictEqual(yield* observed(() => Effect.never, askStream), ["one/m1: 6000 censored"])
    })
  )

  it.effect("nothing of whole answers, nor of calls that were never made", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* observed(whole, ask), [])
      const { layer, log } = Hedging.fixed(undefined)
      yield* Effect.gen(function* () {
        yield* (yield* CircuitBreaker).trip("one/m1", 1_000)
        yield* during(1, askStream)
        assert.deepStrictEqual(log.observed, [])
      }).pipe(Effect.provide(Layer.merge(oneTry(whole).layer, layer)))
    })
  )
})
