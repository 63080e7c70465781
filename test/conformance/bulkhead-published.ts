/**
 * Published faults of other bulkheads, each as a test that this one has not got
 * it. Observed with cockatiel 3.2.1 and opossum 9.0.0.
 */
import { assert, describe } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { Bulkhead } from "../../src/services/bulkhead.ts"
import { protect } from "../../src/services/guard.ts"
import { ask, line, occupy, on, policyOf, served, stateOf, turns } from "./bulkhead-kit.ts"
import type { Suite } from "./bulkhead-kit.ts"

export const suite: Suite = (name, layer) => {
  const effect = on(layer, policyOf({ maxInFlight: 1, maxQueue: 1 }))

  describe(`Bulkhead, published faults: ${name}`, () => {
    effect(
      "cockatiel: a queued call was rejected because a later one took its place between two microtasks",
      Effect.gen(function* () {
        const held = yield* occupy()
        const queued = yield* line()
        // In one synchronous step: the place comes free, and somebody else is there before the waiter wakes.
        yield* held.release
        const late = yield* line()
        const later = yield* line()
        assert.deepStrictEqual(yield* stateOf(), { limit: 1, inFlight: 1, queued: 1 })
        yield* turns(3)
        assert.isTrue(served(queued))
        assert.isUndefined(late.pollUnsafe())
        assert.isDefined(later.pollUnsafe())
      })
    )

    effect(
      "cockatiel: a waiter that was aborted kept its place in the queue",
      Effect.gen(function* () {
        yield* occupy()
        const aborted = yield* line()
        yield* Fiber.interrupt(aborted)
        assert.strictEqual((yield* stateOf()).queued, 0)
        const next = yield* line()
        assert.isUndefined(next.pollUnsafe())
        assert.strictEqual((yield* stateOf()).queued, 1)
      })
    )

    effect(
      "opossum: a timeout gave the place away while the work went on",
      Effect.gen(function* () {
        const bulkhead = yield* Bulkhead
        const done = yield* Deferred.make<void>()
        let running = 0
        const work = Effect.gen(function* () {
          running++
          yield* Deferred.await(done)
          running--
        })
        // Work that cannot be interrupted, and callers that do not wait for its end.
        const call = Effect.gen(function* () {
          const fiber = yield* Effect.forkDetach(Effect.uninterruptible(protect(bulkhead.acquire(ask()))(work)))
          return yield* Effect.timeoutOption(Fiber.await(fiber), 100)
        })
        for (let i = 0; i < 20; i++) {
          const caller = yield* Effect.forkChild(call, { startImmediately: true })
          yield* TestClock.adjust(2_000)
          assert.isTrue(Exit.isSuccess(yield* Fiber.await(caller)))
          assert.strictEqual(running, 1, "more work than places")
          assert.strictEqual((yield* stateOf()).inFlight, 1)
        }
        yield* Deferred.succeed(done, undefined)
        yield* turns(3)
        assert.strictEqual((yield* stateOf()).inFlight, 0)
      })
    )
  })
}
