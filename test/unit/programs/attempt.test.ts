/** One try: its way to its call, its times, and its entry in the log. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import * as Caller from "../../../src/domain/caller.ts"
import { complete } from "../../../src/programs/complete.ts"
import type { Attempt } from "../../../src/services/attempts.ts"
import { Bulkhead } from "../../../src/services/bulkhead.ts"
import * as BulkheadPort from "../../../src/services/bulkhead.ts"
import { CurrentCaller } from "../../../src/services/caller.ts"
import { CircuitBreaker } from "../../../src/services/circuit-breaker.ts"
import { none } from "../../../src/services/deadline.ts"
import { balanced, chat, configOf, fail, make, overloaded, turns, whole } from "../../support/scripted-ballast.ts"
import type { Script } from "../../support/scripted-ballast.ts"

const ask = Effect.scoped(complete(chat({ model: "solo" })))

const oneTry = (open: NonNullable<Script["open"]>, policies: Parameters<typeof configOf>[0] = {}) =>
  make({ open }, configOf({ retry: { maxRetries: 0, budgetMax: 0 }, ...policies }))

/** A place that nobody hears of. */
const permit: BulkheadPort.BulkheadPermit = {
  waitedMs: 0,
  firstToken: () => {},
  pace: () => {},
  answered: () => {},
  dropped: () => {},
  settle: () => {},
  unused: () => {},
  release: () => {}
}

/** Run it for `forMs`. */
const during = <A, E, R>(forMs: number, self: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(Effect.exit(self))
    yield* TestClock.adjust(forMs)
    return yield* Fiber.join(fiber)
  })

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
          hedge: false,
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
          return Effect.succeed(permit)
        },
        tryAcquireUnsafe: () => undefined,
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
          streamed: false,
          deadline: { atMs: 8_000, budgetMs: 8_000 }
        },
        {
          ...common,
          plan: "standard",
          priority: "standard",
          streamed: false,
          deadline: { atMs: 1_500, budgetMs: 1_500 }
        }
      ])
    }).pipe(Effect.provide(Layer.merge(layer, recording)))
  })
})

describe("the way to the call", () => {
  it.effect("a breaker that has changed while the try was in the queue is asked again", () => {
    const { layer, world } = oneTry(whole, { bulkhead: { maxInFlight: 1 } })
    return Effect.gen(function* () {
      const breaker = yield* CircuitBreaker
      const bulkhead = yield* Bulkhead
      const free = yield* Effect.forkChild(
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
            Effect.never
          )
        ),
        { startImmediately: true }
      )
      const fiber = yield* Effect.forkChild(Effect.flip(ask))
      yield* turns(5)
      yield* breaker.trip("one/m1", 60_000)
      yield* Fiber.interrupt(free)
      assert.strictEqual((yield* Fiber.join(fiber)).reason._tag, "Open")
      assert.strictEqual(world.calls.length, 0)
      assert.deepStrictEqual(
        world.ended[0]?.attempts.map(({ called }) => called),
        [false]
      )
      yield* balanced(world)
    }).pipe(Effect.provide(layer))
  })
})
