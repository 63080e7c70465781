/** One try: its times, its timeout, and what the breaker hears of it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import * as Caller from "../../../src/domain/caller.ts"
import type { ProviderReason } from "../../../src/domain/errors.ts"
import { complete } from "../../../src/programs/complete.ts"
import type { Attempt } from "../../../src/services/attempts.ts"
import { Bulkhead } from "../../../src/services/bulkhead.ts"
import * as BulkheadPort from "../../../src/services/bulkhead.ts"
import { CurrentCaller } from "../../../src/services/caller.ts"
import { CircuitBreaker } from "../../../src/services/circuit-breaker.ts"
import { Deadline, none } from "../../../src/services/deadline.ts"
import { balanced, chat, configOf, fail, make, overloaded, turns, whole } from "../../support/scripted-ballast.ts"
import type { Script } from "../../support/scripted-ballast.ts"

const ask = Effect.scoped(complete(chat({ model: "solo" })))

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

/** An entry of the log without its candidate, of which these tests have one. */
const withoutCandidate = ({ called, endedAt, openedAt, outcome, retry, startedAt }: Attempt) => ({
  retry,
  called,
  startedAt,
  openedAt,
  endedAt,
  outcome
})

describe("the log of a try", () => {
  it.effect("of one that answers", () => {
    const { layer, world } = oneTry((call) => Effect.delay(whole(call), 300))
    return Effect.gen(function* () {
      yield* TestClock.adjust(1_000)
      yield* during(300, ask)
      assert.deepStrictEqual(world.ended[0]?.attempts, [
        {
          candidate: { provider: "one", model: "m1" },
          retry: 0,
          called: true,
          startedAt: 1_000,
          openedAt: 1_300,
          endedAt: 1_300,
          outcome: "ok"
        }
      ])
    }).pipe(Effect.provide(layer))
  })

  it.effect("of one that fails, and of one that is refused on its way", () => {
    const { layer, world } = oneTry((call) => Effect.delay(fail(call, overloaded()), 300))
    return Effect.gen(function* () {
      yield* during(300, ask)
      yield* (yield* CircuitBreaker).trip("one/m1", 1_000)
      yield* during(1, ask)
      assert.deepStrictEqual(
        world.ended.map(({ attempts }) => attempts.map(withoutCandidate)),
        [
          [
            {
              retry: 0,
              called: true,
              startedAt: 0,
              openedAt: undefined,
              endedAt: 300,
              outcome: "ProviderError.Overloaded"
            }
          ],
          [
            {
              retry: 0,
              called: false,
              startedAt: 300,
              openedAt: undefined,
              endedAt: 300,
              outcome: "CircuitBreakerError.Open"
            }
          ]
        ]
      )
    }).pipe(Effect.provide(layer))
  })
})

describe("the time of a try", () => {
  it.effect("begins when its place is there, not in the queue", () => {
    const { layer, world } = oneTry(() => Effect.never, { bulkhead: { maxInFlight: 1 }, timeouts: { hardMs: 60_000 } })
    return Effect.gen(function* () {
      const bulkhead = yield* Bulkhead
      yield* Effect.forkChild(
        Effect.scoped(
          Effect.andThen(
            bulkhead.acquire({
              key: "one",
              tenant: "other",
              tokens: 1,
              plan: "standard",
              priority: "critical",
              streamed: true,
              deadline: none
            }),
            Effect.sleep(3_000)
          )
        ),
        { startImmediately: true }
      )
      yield* during(9_100, ask)
      assert.strictEqual(world.calls[0]?.at, 3_000)
      assert.isAtLeast(world.ended[0]?.endedAt ?? 0, 9_000)
      assert.isAtMost(world.ended[0]?.endedAt ?? 0, 9_010)
      assert.strictEqual(world.ended[0]?.outcome, "ProviderError.Timeout")
    }).pipe(Effect.provide(layer))
  })

  it.effect("its place is claimed for the tenant, with its size, its priority and its deadline", () => {
    const claims: Array<BulkheadPort.BulkheadRequest> = []
    const recording = Layer.succeed(
      Bulkhead,
      BulkheadPort.make({
        acquireUnsafe: (claim) => () => {
          claims.push(claim)
          return Effect.succeed({ waitedMs: 0, release: () => {} })
        },
        state: () => Effect.succeed({ limit: 1, inFlight: 0, queued: 0 })
      })
    )
    const { layer, world } = oneTry(whole)
    return Effect.gen(function* () {
      for (const critical of [true, false]) {
        yield* Effect.provideService(ask, CurrentCaller, Caller.make("acme", { critical }))
      }
      const common = { key: "one", tenant: "acme", tokens: world.charges[0]!.tokens }
      assert.deepStrictEqual(claims, [
        {
          ...common,
          plan: "standard",
          priority: "critical",
          streamed: true,
          deadline: { atMs: 8_000, budgetMs: 8_000 }
        },
        {
          ...common,
          plan: "standard",
          priority: "critical",
          streamed: true,
          deadline: { atMs: 1_500, budgetMs: 1_500 }
        }
      ])
    }).pipe(Effect.provide(Layer.merge(layer, recording)))
  })
})

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
