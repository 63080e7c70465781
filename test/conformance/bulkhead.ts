/** What every layer of the Bulkhead port must do: places, the queue before them, and its end. Runs in virtual time. */
import { assert, describe } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as Caller from "../../src/domain/caller.ts"
import { Bulkhead } from "../../src/services/bulkhead.ts"
import * as Deadline from "../../src/services/deadline.ts"
import * as RequestRecord from "../../src/services/request-record.ts"
import { enter } from "../support/raw-entry.ts"
import * as Adaptive from "./bulkhead-adaptive.ts"
import * as Deadlines from "./bulkhead-deadlines.ts"
import * as Fairness from "./bulkhead-fairness.ts"
import * as Full from "./bulkhead-full.ts"
import * as Interruption from "./bulkhead-interruption.ts"
import { ask, base as policy, occupy, on, policyOf, stateOf, turns } from "./bulkhead-kit.ts"
import type { Suite } from "./bulkhead-kit.ts"
import * as Priorities from "./bulkhead-priorities.ts"
import * as Published from "./bulkhead-published.ts"

/** All suites of the port. */
export const suite: Suite = (name, layer) => {
  places(name, layer)
  Fairness.suite(name, layer)
  Priorities.suite(name, layer)
  Full.suite(name, layer)
  Deadlines.suite(name, layer)
  Interruption.suite(name, layer)
  Published.suite(name, layer)
  Adaptive.suite(name, layer)
}

const places: Suite = (name, layer) => {
  const effect = on(layer)

  describe(`Bulkhead: ${name}`, () => {
    effect(
      "gives free places at once, then queues, then refuses",
      Effect.gen(function* () {
        const first = yield* occupy()
        assert.strictEqual(first.waited, 0)
        yield* occupy()
        for (let i = 0; i < 3; i++) yield* Effect.forkChild(occupy())
        yield* turns(2)
        assert.deepStrictEqual(yield* stateOf(), { limit: 2, inFlight: 2, queued: 3 })
        const { reason } = yield* Effect.flip(occupy())
        assert.strictEqual(reason._tag, "QueueFull")
        yield* first.release
        assert.deepStrictEqual(yield* stateOf(), { limit: 2, inFlight: 2, queued: 2 })
      })
    )

    effect(
      "hands a tenant's places over in the order of arrival, and says how long it took",
      Effect.gen(function* () {
        const held = [yield* occupy(), yield* occupy()]
        const order: Array<[number, number]> = []
        for (let i = 0; i < 3; i++) {
          yield* Effect.forkChild(Effect.map(occupy(), ({ waited }) => order.push([i, waited])))
          yield* turns(1)
        }
        for (const { release } of held) {
          yield* TestClock.adjust(100)
          yield* release
        }
        yield* turns(2)
        assert.deepStrictEqual(order, [
          [0, 100],
          [1, 200]
        ])
        assert.deepStrictEqual(yield* stateOf(), { limit: 2, inFlight: 2, queued: 1 })
      })
    )

    effect(
      "nobody overtakes a waiter that was given a place but is not awake yet",
      Effect.gen(function* () {
        const held = yield* occupy()
        const waiter = yield* Effect.forkChild(occupy())
        yield* turns(1)
        yield* held.release
        const late = yield* Effect.forkChild(occupy(), { startImmediately: true })
        assert.isUndefined(late.pollUnsafe())
        yield* turns(2)
        assert.isTrue(Exit.isSuccess(yield* Fiber.await(waiter)))
        assert.isUndefined(late.pollUnsafe())
      }),
      policyOf({ maxInFlight: 1, maxQueue: 1 })
    )

    effect(
      "a wait that is too long ends with QueueTimeout",
      Effect.gen(function* () {
        yield* occupy()
        yield* occupy()
        const waiter = yield* Effect.forkChild(Effect.flip(occupy()))
        yield* TestClock.adjust(990)
        assert.isUndefined(waiter.pollUnsafe())
        yield* TestClock.adjust(20)
        const { reason } = yield* Fiber.join(waiter)
        if (reason._tag !== "QueueTimeout") return assert.fail(reason._tag)
        assert.isAtLeast(reason.waitedMs, 1_000)
        assert.isAtLeast(reason.retryAfterMs, 500)
        assert.isAtMost(reason.retryAfterMs, 1_500)
        assert.deepStrictEqual(yield* stateOf(), { limit: 2, inFlight: 2, queued: 0 })
      })
    )

    effect(
      "the deadline ends the wait earlier, as a DeadlineError of the stage 'queue'",
      Effect.gen(function* () {
        yield* occupy()
        yield* occupy()
        const deadline = Deadline.within(0, 400)
        const waiter = yield* Effect.forkChild(Effect.flip(occupy(ask({ deadline }))))
        yield* TestClock.adjust(410)
        const error = yield* Fiber.join(waiter)
        assert.strictEqual(error._tag, "DeadlineError")
        assert.deepStrictEqual(error.reason, { _tag: "Exceeded", stage: "queue", budgetMs: 400 })
        // Passed already: refused without a wait, also when there is a place.
        const late = yield* Effect.flip(occupy(ask({ deadline, key: "idle" })))
        assert.strictEqual(late._tag, "DeadlineError")
        assert.deepStrictEqual(yield* stateOf("idle"), { limit: 2, inFlight: 0, queued: 0 })
      })
    )

    effect(
      "a place is not given to a waiter whose deadline has passed",
      Effect.gen(function* () {
        const held = yield* occupy()
        const late = yield* Effect.forkChild(Effect.flip(occupy(ask({ deadline: Deadline.within(0, 101) }))))
        const next = yield* Effect.forkChild(occupy())
        // Past the deadline, before a coarse timer has noticed.
        yield* TestClock.adjust(102)
        yield* held.release
        yield* turns(2)
        assert.strictEqual((yield* Fiber.join(late))._tag, "DeadlineError")
        assert.isTrue(Exit.isSuccess(yield* Fiber.await(next)))
      }),
      policyOf({ maxInFlight: 1 })
    )

    effect(
      "keys do not share places, and overrides are for their key alone",
      Effect.gen(function* () {
        yield* occupy()
        yield* occupy()
        yield* occupy(ask({ key: "anthropic" }))
        yield* occupy(ask({ key: "small" }))
        const { reason } = yield* Effect.flip(occupy(ask({ key: "small" })))
        assert.strictEqual(reason._tag, "QueueFull")
        assert.strictEqual((yield* stateOf("small")).limit, 1)
        assert.strictEqual((yield* stateOf("constructor")).limit, 2)
      }).pipe(Effect.provide(layer(policy, { small: { maxInFlight: 1, maxQueue: 0 } })))
    )

    effect(
      "errors carry the request's id",
      Effect.gen(function* () {
        yield* occupy()
        const record = RequestRecord.make({ id: "req-7", operation: "chat", caller: Caller.anonymous, startedAt: 0 })
        const error = yield* Effect.flip(Effect.provideService(occupy(), RequestRecord.CurrentRecord, record))
        assert.strictEqual(error.requestId, "req-7")
      }),
      policyOf({ maxInFlight: 1, maxQueue: 0 })
    )

    effect(
      "a caller that cannot be interrupted waits without being interrupted",
      Effect.gen(function* () {
        const held = yield* occupy()
        const begun = yield* Deferred.make<void>()
        const waiter = yield* Effect.forkChild(
          Effect.uninterruptible(Effect.andThen(Deferred.succeed(begun, undefined), occupy()))
        )
        yield* Deferred.await(begun)
        const interrupting = yield* Effect.forkChild(Fiber.interrupt(waiter))
        yield* turns(2)
        assert.isUndefined(waiter.pollUnsafe())
        yield* held.release
        yield* Fiber.join(interrupting)
        assert.deepStrictEqual(yield* stateOf(), { limit: 1, inFlight: 1, queued: 0 })
      }),
      policyOf({ maxInFlight: 1 })
    )

    effect(
      "the raw way in and the scoped one share the places, the queue and the refusals",
      Effect.gen(function* () {
        const bulkhead = yield* Bulkhead
        const raw = yield* enter(bulkhead.acquireUnsafe(ask()))
        assert.strictEqual(raw.waitedMs, 0)
        const scoped = yield* occupy()
        assert.deepStrictEqual(yield* stateOf(), { limit: 2, inFlight: 2, queued: 0 })
        const waiters = [
          yield* Effect.forkChild(occupy()),
          yield* Effect.forkChild(enter(bulkhead.acquireUnsafe(ask()))),
          yield* Effect.forkChild(occupy())
        ] as const
        yield* turns(2)
        assert.deepStrictEqual(yield* stateOf(), { limit: 2, inFlight: 2, queued: 3 })
        const refused = yield* Effect.flip(enter(bulkhead.acquireUnsafe(ask()), "req-8"))
        assert.strictEqual(refused.reason._tag, "QueueFull")
        assert.strictEqual(refused.requestId, "req-8")
        yield* TestClock.adjust(100)
        raw.release()
        yield* scoped.release
        assert.strictEqual((yield* Fiber.join(waiters[0])).waited, 100)
        assert.strictEqual((yield* Fiber.join(waiters[1])).waitedMs, 100)
        yield* Fiber.interrupt(waiters[2])
        assert.deepStrictEqual(yield* stateOf(), { limit: 2, inFlight: 2, queued: 0 })
      })
    )

    effect(
      "a permit that is released again, or by its scope as well, is given back once",
      Effect.gen(function* () {
        const bulkhead = yield* Bulkhead
        yield* Effect.scoped(
          Effect.gen(function* () {
            const raw = yield* enter(bulkhead.acquireUnsafe(ask()))
            const scoped = yield* bulkhead.acquire(ask())
            const keeper = yield* Effect.forkChild(occupy())
            const waiter = yield* Effect.forkChild(occupy())
            yield* turns(1)
            raw.release()
            raw.release()
            yield* turns(2)
            assert.isDefined(keeper.pollUnsafe())
            assert.isUndefined(waiter.pollUnsafe())
            scoped.release()
            scoped.release()
            yield* turns(2)
            assert.isDefined(waiter.pollUnsafe())
          })
        )
        assert.deepStrictEqual(yield* stateOf(), { limit: 2, inFlight: 2, queued: 0 })
      })
    )

    effect(
      "a place for an extra call is given only where one is free and nobody waits",
      Effect.gen(function* () {
        const bulkhead = yield* Bulkhead
        const first = bulkhead.tryAcquireUnsafe(ask())
        if (first === undefined) return assert.fail("a place was free")
        assert.strictEqual(first.waitedMs, 0)
        const held = yield* occupy()
        assert.isUndefined(bulkhead.tryAcquireUnsafe(ask()))
        const waiter = yield* Effect.forkChild(occupy())
        yield* turns(1)
        // The place goes to the one who waits, in the same step.
        first.release()
        assert.isUndefined(bulkhead.tryAcquireUnsafe(ask()))
        yield* turns(2)
        yield* (yield* Fiber.join(waiter)).release
        yield* held.release
        const again = bulkhead.tryAcquireUnsafe(ask())
        assert.deepStrictEqual(yield* stateOf(), { limit: 2, inFlight: 1, queued: 0 })
        again?.release()
        again?.release()
        assert.deepStrictEqual(yield* stateOf(), { limit: 2, inFlight: 0, queued: 0 })
      })
    )

    effect(
      "reports after the release do nothing",
      Effect.gen(function* () {
        const held = yield* occupy()
        yield* held.release
        held.permit.firstToken(1)
        held.permit.pace(1, 1)
        held.permit.answered(1, 1)
        held.permit.dropped()
        held.permit.settle(1_000_000)
        assert.deepStrictEqual(yield* stateOf(), { limit: 1, inFlight: 0, queued: 0 })
      }),
      policyOf({ maxInFlight: 1 })
    )
  })
}
