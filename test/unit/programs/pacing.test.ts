/** Calls on their way through the pacer: when they leave, and what becomes of their room where they do not. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import { complete } from "../../../src/programs/complete.ts"
import { CircuitBreaker } from "../../../src/services/circuit-breaker.ts"
import { Pacer } from "../../../src/services/pacer.ts"
import { balanced, chat, configOf, fail, make, richRetries, whole } from "../../support/scripted-ballast.ts"
import type { Script } from "../../support/scripted-ballast.ts"

const solo = Effect.scoped(complete(chat({ model: "solo" })))

const limited = { _tag: "RateLimited", status: 429, detail: "slow down" } as const

const over = (
  open: NonNullable<Script["open"]>,
  pacing: NonNullable<Parameters<typeof configOf>[0]>["pacing"] = {},
  more: Parameters<typeof configOf>[0] = {}
) => make({ open }, configOf({ pacing: { share: 1, ...pacing }, retry: richRetries, ...more }))

const room = Effect.flatMap(Pacer, (pacer) => Effect.map(pacer.state("one", "one/m1"), ({ requests }) => requests))

describe("a paced call", () => {
  it.effect("leaves when the provider's limit has room, and is timed from there", () => {
    const { layer, world } = over((call) => Effect.delay(whole(call), 50), { requestsPerMinute: 60, burstMs: 1_000 })
    return Effect.gen(function* () {
      const fibers = yield* Effect.forEach([1, 2, 3], () => Effect.forkChild(solo))
      yield* TestClock.adjust("5 seconds")
      for (const fiber of fibers) yield* Fiber.join(fiber)
      assert.deepStrictEqual(
        world.calls.map(({ at }) => Math.floor(at / 1_000)),
        [0, 1, 2]
      )
      // The breaker hears of the provider's time alone.
      assert.deepStrictEqual(world.verdicts, Array(3).fill("one/m1: succeed 50"))
      yield* balanced(world)
    }).pipe(Effect.provide(layer))
  })

  it.effect("that cannot leave in time goes to the next candidate at once", () => {
    const { layer, world } = over((call) => whole(call), { requestsPerMinute: 2, burstMs: 1 })
    return Effect.gen(function* () {
      for (let request = 0; request < 2; request++) yield* Effect.scoped(complete(chat()))
      assert.deepStrictEqual(
        world.calls.map(({ candidate }) => candidate.provider),
        ["one", "two"]
      )
      const error = yield* Effect.flip(Effect.scoped(complete(chat())))
      assert.deepStrictEqual([error._tag, error.reason._tag], ["PacerError", "NoRoom"])
      assert.lengthOf(world.calls, 2)
      // Nothing was called, so nothing was drawn from the retry budget.
      assert.strictEqual(world.budget.drawn, 0)
      yield* balanced(world)
    }).pipe(Effect.provide(layer))
  })

  it.effect("that met a 429 keeps everybody away until its Retry-After", () => {
    const { layer, world } = over((call) =>
      call.n === 1 ? fail(call, { ...limited, retryAfterMs: 3_000 }) : whole(call)
    )
    return Effect.gen(function* () {
      const first = yield* Effect.forkChild(solo)
      yield* TestClock.adjust(10)
      const others = yield* Effect.forEach([1, 2, 3], () => Effect.forkChild(solo))
      yield* TestClock.adjust(2_980)
      assert.lengthOf(world.calls, 1)
      yield* TestClock.adjust("4 seconds")
      for (const fiber of [first, ...others]) yield* Fiber.join(fiber)
      assert.lengthOf(world.calls, 5)
      assert.isTrue(world.calls.slice(1).every(({ at }) => at >= 3_000))
      yield* balanced(world)
    }).pipe(Effect.provide(layer))
  })

  it.effect("whose caller leaves while it waits gives its place back", () => {
    const { layer, world } = over((call) => whole(call), { requestsPerMinute: 60, burstMs: 1_000 })
    return Effect.gen(function* () {
      yield* solo
      const gone = yield* Effect.forkChild(solo)
      const next = yield* Effect.forkChild(solo)
      yield* TestClock.adjust(100)
      yield* Fiber.interrupt(gone)
      yield* TestClock.adjust(950)
      yield* Fiber.join(next)
      assert.lengthOf(world.calls, 2)
      yield* balanced(world)
    }).pipe(Effect.provide(layer))
  })

  it.effect("that the breaker refuses after its wait gives its room back", () => {
    const { layer, world } = over((call) => whole(call), { requestsPerMinute: 6, burstMs: 60_000 })
    return Effect.gen(function* () {
      const services = yield* Layer.build(layer)
      const breaker = Context.get(services, CircuitBreaker)
      // The lease was good when it was given, and is not any more when the call is to begin; then it is refused.
      let asked = 0
      const tripped = CircuitBreaker.of({
        ...breaker,
        acquireUnsafe: (key) => (restore, requestId) =>
          asked++ === 0
            ? Effect.map(breaker.acquireUnsafe(key)(restore, requestId), (lease) => ({
                begin: () => false,
                gap: () => {},
                succeed: () => {},
                fail: () => {},
                cutShort: () => {},
                release: () => lease.release()
              }))
            : Effect.andThen(breaker.trip(key, 60_000), breaker.acquireUnsafe(key)(restore, requestId))
      })
      const provided = Context.add(services, CircuitBreaker, tripped)
      const exit = yield* Effect.provide(Effect.exit(solo), provided)
      assert.isTrue(Exit.isFailure(exit))
      assert.lengthOf(world.calls, 0)
      assert.strictEqual(yield* Effect.provide(room, provided), 6)
      yield* Effect.provide(balanced(world), provided)
    })
  })
})
