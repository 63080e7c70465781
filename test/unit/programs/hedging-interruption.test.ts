/**
 * Promise 1 for a call that has a second one beside it: the caller leaves at
 * every moment of both, with every way of the scheduler to cut them into turns,
 * and nothing of either is left behind.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Scheduler, Stream } from "effect"
import { TestClock } from "effect/testing"
import type { ProviderReason } from "../../../src/domain/errors.ts"
import * as Usage from "../../../src/domain/usage.ts"
import { collect } from "../../../src/programs/collect.ts"
import { complete } from "../../../src/programs/complete.ts"
import { CircuitBreaker } from "../../../src/services/circuit-breaker.ts"
import * as CircuitBreakerPort from "../../../src/services/circuit-breaker.ts"
import { RetryBudget } from "../../../src/services/retry-budget.ts"
import { Provider } from "../../../src/services/provider.ts"
import * as RetryBudgetPort from "../../../src/services/retry-budget.ts"
import * as Hedging from "../../support/hedging.ts"
import {
  balanced,
  chat,
  chunk,
  configOf,
  fail,
  make,
  richRetries,
  streaming,
  turns
} from "../../support/scripted-ballast.ts"
import type { Call, Script, World } from "../../support/scripted-ballast.ts"

const server: ProviderReason = { _tag: "ServerError", detail: "x" }

/** Room for exactly two calls, so that a place which is lost is seen by the next request. */
const config = configOf({
  bulkhead: { maxInFlight: 2, maxQueue: 0 },
  breaker: { minimumCalls: 1_000_000 },
  retry: { ...richRetries, baseMs: 1, capMs: 1 },
  rateLimits: { tenant: {}, global: { requestsPerMinute: null } }
})

const ask = Effect.scoped(Effect.flatMap(complete(chat({ model: "solo", stream: true })), collect))

const words = (call: Call) =>
  streaming(
    call,
    "De",
    Stream.fromIterable(["ep", "."]).pipe(
      Stream.mapEffect((text) => Effect.delay(Effect.as(turns(1), chunk(text)), 3)),
      Stream.concat(Stream.succeed(chunk(Usage.make(100, 20))))
    )
  )

/** A call that takes its time in every way: some turns, and some ms. */
const after = <A, E, R>(ms: number, self: Effect.Effect<A, E, R>) =>
  Effect.andThen(turns(1), Effect.andThen(Effect.sleep(ms), Effect.andThen(turns(1), self)))

const sumOf = (values: ReadonlyArray<number>) => values.reduce((sum, value) => sum + value, 0)

/** Calls come in pairs: a first one, and its hedge 10 ms later. */
const isFirst = (world: World) => {
  const calls = world.calls.length
  const attempts = world.begun.at(-1)?.attempts ?? []
  return calls > 0 && attempts.at(-1)?.hedge !== true
}

const sweep = (
  title: string,
  open: (call: Call, first: boolean) => ReturnType<NonNullable<Script["open"]>>,
  options: {
    readonly passes: ReadonlyArray<number>
    readonly seen: (world: World) => boolean
    /** Whether breaker and budget are in a store that takes 3 ms to answer. */
    readonly far?: boolean
  }
) =>
  it.effect(title, () => {
    const hedging = Hedging.fixed(10)
    const made = make({ open: (call) => Effect.suspend(() => open(call, isFirst(made.world))) }, config)
    const { world } = made
    /** Whether the provider keeps its own time: then its calls run without a time box around them. */
    let bounded = false
    const provider = Effect.map(Provider, (service) => ({ ...service, bounded: () => bounded }))
    const near = Layer.provideMerge(Layer.effect(Provider, provider), made.layer)
    const leases = counted(options.far === true ? farAway(near) : near)
    return Effect.gen(function* () {
      for (let ops = 3; ops <= 64; ops++) {
        for (const moment of [0, 1, 3, 8]) {
          for (const ms of options.passes) {
            bounded = ops % 2 === 0
            const where = `${ops} operations a turn, after ${ms} ms, turn ${moment}, bounded: ${bounded}`
            const fiber = yield* Effect.forkChild(Effect.provideService(ask, Scheduler.MaxOpsBeforeYield, ops))
            // Enough turns that the call has left; then it is the clock's turn.
            yield* turns(40)
            yield* TestClock.adjust(ms)
            yield* turns(moment)
            fiber.interruptUnsafe()
            // A guard that is far away is not interrupted in the middle of its answer.
            if (options.far === true) yield* TestClock.adjust(10)
            yield* Fiber.await(fiber)
            // The loser of a hedge is not waited for: it has its last turns.
            yield* turns(10)
            yield* balanced(world, where)
            assert.strictEqual(leases.held(), 0, `${where}: leases of the breaker`)
          }
        }
      }
      assert.isTrue(options.seen(world), "the moment was never there")
      const due = world.ended.map(
        ({ attempts, estimatedInput }) => estimatedInput * attempts.filter(({ hedge }) => hedge).length
      )
      const spent = sumOf(hedging.log.spent)
      assert.strictEqual(spent, sumOf(due), "what is spent is spent on calls that were made")
    }).pipe(Effect.provide(Layer.merge(leases.layer, hedging.layer)))
  })

/** The same with the breaker's leases counted. */
const counted = <A, R>(near: Layer.Layer<A | CircuitBreaker, never, R>) => {
  const leases = new Set<CircuitBreakerPort.BreakerLease>()
  const breaker = Effect.map(CircuitBreaker, (service) =>
    CircuitBreakerPort.make({
      ...service,
      acquireUnsafe: (key) => (restore, id) =>
        Effect.map(service.acquireUnsafe(key)(restore, id), (lease) => {
          leases.add(lease)
          return {
            begin: (streamed) => lease.begin(streamed),
            succeed: (ms) => lease.succeed(ms),
            fail: (ms) => lease.fail(ms),
            gap: (ms) => lease.gap(ms),
            cutShort: (ms) => lease.cutShort(ms),
            release: () => {
              leases.delete(lease)
              lease.release()
            }
          }
        })
    })
  )
  return { held: () => leases.size, layer: Layer.provideMerge(Layer.effect(CircuitBreaker, breaker), near) }
}

/** The same with a breaker and a budget that do not answer at once. */
const farAway = <A, R>(near: Layer.Layer<A | RetryBudget | CircuitBreaker, never, R>) => {
  const breaker = Effect.map(CircuitBreaker, (service) =>
    CircuitBreakerPort.make({
      ...service,
      acquireUnsafe: (key) => (restore, id) => after(3, service.acquireUnsafe(key)(restore, id)),
      state: (key) => after(3, service.state(key))
    })
  )
  const budget = Effect.map(RetryBudget, (service) =>
    RetryBudgetPort.make({
      ...service,
      drawUnsafe: (restore, id) =>
        after(
          3,
          Effect.suspend(() => service.drawUnsafe(restore, id))
        )
    })
  )
  return Layer.mergeAll(Layer.effect(CircuitBreaker, breaker), Layer.effect(RetryBudget, budget)).pipe(
    Layer.provideMerge(near)
  )
}

const hedged = ({ ended }: World) => ended.some(({ attempts }) => attempts.some(({ hedge }) => hedge))
const outcomes = ({ ended }: World, hedge: boolean) =>
  new Set(
    ended.flatMap(({ attempts }) => attempts.filter((each) => each.hedge === hedge).map(({ outcome }) => outcome))
  )

describe("promise 1: interruption of a hedged call is total", () => {
  sweep("while both calls are waited for", () => Effect.never, {
    passes: [9, 10, 11, 50],
    seen: (world) => hedged(world) && world.ended.every(({ outcome }) => outcome === "cancelled")
  })

  sweep("as the hedge wins", (call, first) => (first ? Effect.never : after(4, words(call))), {
    passes: [10, 14, 15, 16],
    seen: (world) => world.ended.some(({ chunks }) => chunks > 0) && world.ended.some(({ chunks }) => chunks === 0)
  })

  sweep("as the first call wins", (call, first) => (first ? after(14, words(call)) : Effect.never), {
    passes: [10, 13, 14, 15],
    seen: (world) => world.ended.some(({ chunks }) => chunks > 0) && outcomes(world, true).has("cancelled")
  })

  sweep("as both answer", (call, first) => after(first ? 14 : 4, words(call)), {
    passes: [13, 14, 15],
    seen: (world) => world.ended.some(({ chunks }) => chunks > 0)
  })

  sweep(
    "as the first call fails, and the hedge goes on",
    (call, first) => after(first ? 14 : 10, first ? fail(call, server) : words(call)),
    {
      passes: [10, 14, 15, 20],
      seen: (world) => outcomes(world, false).has("ProviderError.ServerError") && hedged(world)
    }
  )

  sweep(
    "as the hedge fails, and the first call goes on",
    (call, first) => after(first ? 20 : 4, first ? words(call) : fail(call, server)),
    {
      passes: [10, 14, 15, 20],
      seen: (world) => outcomes(world, true).has("ProviderError.ServerError") && outcomes(world, true).has("cancelled")
    }
  )

  sweep("as both fail, and are tried again", (call, first) => after(first ? 14 : 4, fail(call, server)), {
    passes: [14, 15, 16, 26],
    seen: (world) => world.ended.some(({ attempts }) => attempts.some(({ retry }) => retry > 0))
  })

  sweep("as the first call fails in the moment when it is late", (call) => after(10, fail(call, server)), {
    passes: [10, 11],
    seen: (world) => outcomes(world, false).has("ProviderError.ServerError")
  })

  sweep(
    "while guards that are far away are still asked whether there may be a hedge",
    (call, first) => (first ? Effect.never : after(4, words(call))),
    {
      far: true,
      passes: [13, 14, 17, 20, 23, 24, 27],
      seen: (world) => hedged(world) && world.ended.some(({ chunks }) => chunks > 0)
    }
  )

  sweep("as the first call wins before they have answered", (call) => after(16 + (call.n % 8), words(call)), {
    far: true,
    passes: [18, 20, 30],
    // A hedge that all have granted, but too late, is not made.
    seen: (world) =>
      world.ended.some(({ chunks }) => chunks > 0) &&
      world.budget.drawn > world.ended.filter(({ attempts }) => attempts.length > 1).length
  })

  sweep("as the first call fails before they have answered", (call) => after(16, fail(call, server)), {
    far: true,
    passes: [18, 19, 20, 22, 30],
    seen: (world) => !hedged(world) && outcomes(world, false).has("ProviderError.ServerError")
  })

  it.effect("the work of both ends, not only what they hold", () => {
    const hedging = Hedging.fixed(10)
    let working = 0
    const work = Effect.suspend(() => {
      working++
      return Effect.onExit(Effect.never, () => Effect.sync(() => void working--))
    })
    const made = make({ open: () => work }, config)
    return Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(ask)
      yield* TestClock.adjust(20)
      assert.strictEqual(working, 2)
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(working, 0)
    }).pipe(Effect.provide(Layer.merge(made.layer, hedging.layer)))
  })

  it.effect("in the very moment when the hedge has won and the loser is closed", () => {
    const hedging = Hedging.fixed(10)
    let caller: Fiber.Fiber<unknown, unknown> | undefined
    const leaves = Effect.acquireRelease(Effect.void, () => Effect.sync(() => caller?.interruptUnsafe()))
    const made = make(
      { open: (call) => (call.n === 1 ? Effect.andThen(leaves, Effect.never) : Effect.delay(words(call), 4)) },
      config
    )
    const leases = counted(made.layer)
    return Effect.gen(function* () {
      caller = yield* Effect.forkChild(ask)
      yield* TestClock.adjust(20)
      assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(caller)))
      assert.strictEqual(made.world.calls.length, 2)
      yield* balanced(made.world)
      assert.strictEqual(leases.held(), 0)
    }).pipe(Effect.provide(Layer.merge(leases.layer, hedging.layer)))
  })

  it.effect("the next request is served as if nothing had been", () => {
    const hedging = Hedging.fixed(10)
    const made = make({ open: (call) => (call.n <= 2 ? Effect.never : words(call)) }, config)
    return Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(ask)
      yield* TestClock.adjust(20)
      assert.strictEqual(made.world.calls.length, 2)
      yield* Fiber.interrupt(fiber)
      const next = yield* Effect.forkChild(ask)
      yield* TestClock.adjust(20)
      assert.strictEqual((yield* Fiber.join(next)).choices[0]?.message["content"], "Deep.")
      yield* balanced(made.world)
    }).pipe(Effect.provide(Layer.merge(made.layer, hedging.layer)))
  })
})
