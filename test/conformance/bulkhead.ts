/** What every layer of the Bulkhead port must do. Runs in virtual time. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Schema, Scheduler, Scope } from "effect"
import { TestClock } from "effect/testing"
import * as Caller from "../../src/domain/caller.ts"
import type { BulkheadPolicy } from "../../src/domain/policy.ts"
import { Bulkhead } from "../../src/services/bulkhead.ts"
import type { BulkheadRequest } from "../../src/services/bulkhead.ts"
import * as Deadline from "../../src/services/deadline.ts"
import * as RequestRecord from "../../src/services/request-record.ts"
import { enter } from "../support/raw-entry.ts"

const policy: BulkheadPolicy = { maxInFlight: 2, maxQueue: 3, maxWaitMs: 1_000 }

const ask = (request: Partial<BulkheadRequest> = {}): BulkheadRequest => ({
  key: "openai",
  tenant: "acme",
  tokens: 100,
  priority: 0,
  deadline: Deadline.none,
  ...request
})

/** Hold a place until `release`. */
const occupy = (request = ask()) =>
  Effect.gen(function* () {
    const bulkhead = yield* Bulkhead
    const scope = yield* Scope.make()
    const { waitedMs } = yield* Scope.provide(bulkhead.acquire(request), scope)
    return { waited: waitedMs, release: Scope.close(scope, Exit.void) }
  })

const stateOf = (key = "openai") => Effect.flatMap(Bulkhead, (bulkhead) => bulkhead.state(key))

const turns = (count: number) =>
  Effect.gen(function* () {
    for (let i = 0; i < count; i++) yield* Effect.yieldNow
  })

export const suite = (
  name: string,
  layer: (policy: BulkheadPolicy, overrides?: Record<string, Partial<BulkheadPolicy>>) => Layer.Layer<Bulkhead>
): void => {
  const effect = <A, E>(title: string, test: Effect.Effect<A, E, Bulkhead | Scope.Scope>, values = policy) =>
    it.effect(title, () => Effect.provide(test, layer(values)))

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
      "hands places over in the order of arrival, and says how long it took",
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
      { maxInFlight: 1, maxQueue: 1, maxWaitMs: 1_000 }
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
      { maxInFlight: 1, maxQueue: 3, maxWaitMs: 1_000 }
    )

    effect(
      "interruption frees the place in the queue at once",
      Effect.gen(function* () {
        yield* occupy()
        yield* occupy()
        const waiters = yield* Effect.forEach([1, 2, 3], () => Effect.forkChild(occupy()))
        yield* turns(1)
        yield* Fiber.interruptAll(waiters)
        assert.deepStrictEqual(yield* stateOf(), { limit: 2, inFlight: 2, queued: 0 })
      })
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
      }).pipe(Effect.provide(layer(policy, { small: { maxInFlight: 1, maxQueue: 0 } }))),
      policy
    )

    effect(
      "errors carry the request's id",
      Effect.gen(function* () {
        yield* occupy()
        const record = RequestRecord.make({ id: "req-7", operation: "chat", caller: Caller.anonymous, startedAt: 0 })
        const error = yield* Effect.flip(Effect.provideService(occupy(), RequestRecord.CurrentRecord, record))
        assert.strictEqual(error.requestId, "req-7")
      }),
      { maxInFlight: 1, maxQueue: 0, maxWaitMs: 1_000 }
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
      { maxInFlight: 1, maxQueue: 3, maxWaitMs: 1_000 }
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
      "a wait on the raw way in is interruptible through restore, and leaves nothing behind",
      Effect.gen(function* () {
        const bulkhead = yield* Bulkhead
        const held = yield* occupy()
        for (let ops = 3; ops <= 64; ops++) {
          // Inside an uninterruptible region `restore` restores that: this one has to wait.
          const waiter = yield* Effect.uninterruptible(enter(bulkhead.acquireUnsafe(ask()))).pipe(
            Effect.provideService(Scheduler.MaxOpsBeforeYield, ops),
            Effect.forkChild
          )
          const free = yield* Effect.forkChild(
            Effect.provideService(enter(bulkhead.acquireUnsafe(ask())), Scheduler.MaxOpsBeforeYield, ops)
          )
          yield* turns(4)
          assert.strictEqual((yield* stateOf()).queued, 2)
          waiter.interruptUnsafe()
          yield* Fiber.interrupt(free)
          assert.isUndefined(waiter.pollUnsafe())
          assert.deepStrictEqual(yield* stateOf(), { limit: 1, inFlight: 1, queued: 1 })
          yield* TestClock.adjust(1_010)
          assert.isTrue(Exit.isFailure(yield* Fiber.await(waiter)))
          assert.deepStrictEqual(yield* stateOf(), { limit: 1, inFlight: 1, queued: 0 })
        }
        yield* held.release
        assert.deepStrictEqual(yield* stateOf(), { limit: 1, inFlight: 0, queued: 0 })
      }),
      { maxInFlight: 1, maxQueue: 3, maxWaitMs: 1_000 }
    )

    effect(
      "a long chain of hand-overs does not grow the stack",
      Effect.gen(function* () {
        const held = yield* occupy()
        const work = Effect.scoped(Effect.asVoid(Effect.flatMap(Bulkhead, (bulkhead) => bulkhead.acquire(ask()))))
        const all = yield* Effect.forkChild(
          Effect.all(
            Array.from({ length: 20_000 }, () => work),
            { concurrency: "unbounded", discard: true }
          )
        )
        yield* turns(1)
        yield* held.release
        yield* Fiber.join(all)
        assert.deepStrictEqual(yield* stateOf(), { limit: 1, inFlight: 0, queued: 0 })
      }),
      { maxInFlight: 1, maxQueue: 20_000, maxWaitMs: 1_000 }
    )

    effect(
      "no permit is lost or doubled wherever interruptions land",
      Effect.gen(function* () {
        const bulkhead = yield* Bulkhead
        let running = 0
        const work = Effect.scoped(
          Effect.gen(function* () {
            yield* bulkhead.acquire(ask())
            yield* Effect.acquireRelease(
              Effect.sync(() => running++),
              () => Effect.sync(() => running--)
            )
            assert.isAtMost(running, 2, "more in flight than the limit")
            yield* turns(2)
          })
        )
        for (let ops = 3; ops <= 64; ops++) {
          for (let wait = 0; wait < 7; wait++) {
            const fibers = yield* Effect.forEach([0, 1, 2, 3, 4], () =>
              Effect.forkChild(Effect.provideService(work, Scheduler.MaxOpsBeforeYield, ops))
            )
            yield* turns(wait)
            // The holders and one of the waiters; the others must get the places.
            for (const index of [0, 1, 3]) fibers[index]?.interruptUnsafe()
            const exits = yield* Fiber.awaitAll(fibers)
            assert.isTrue(
              [2, 4].every((index) => Exit.isSuccess(exits[index] ?? Exit.void)),
              `a waiter was lost at ${ops} / ${wait}`
            )
            assert.deepStrictEqual(yield* stateOf(), { limit: 2, inFlight: 0, queued: 0 })
          }
        }
      })
    )

    const Moves = Schema.Array(
      Schema.Struct({
        move: Schema.Literals(["arrive", "release", "interrupt", "pass"]),
        pick: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 9 }))
      })
    )
    it.effect.prop("any sequence of arrivals, releases and interruptions keeps the limits", [Moves], ([moves]) =>
      Effect.gen(function* () {
        const fibers: Array<Fiber.Fiber<{ readonly release: Effect.Effect<void> }, unknown>> = []
        for (const { move, pick } of moves) {
          const chosen = fibers[pick % Math.max(1, fibers.length)]
          if (move === "arrive") fibers.push(yield* Effect.forkChild(occupy()))
          else if (move === "pass") yield* TestClock.adjust(pick * 100)
          else if (move === "interrupt") chosen?.interruptUnsafe()
          else {
            const exit = chosen?.pollUnsafe()
            if (exit !== undefined && Exit.isSuccess(exit)) yield* exit.value.release
          }
          yield* turns(3)
          const { inFlight, queued } = yield* stateOf()
          assert.isAtMost(inFlight, 2)
          assert.isAtMost(queued, 3)
          if (queued > 0) assert.strictEqual(inFlight, 2, "someone waits beside a free place")
        }
        for (const fiber of fibers) {
          const exit = fiber.pollUnsafe()
          if (exit !== undefined && Exit.isSuccess(exit)) yield* exit.value.release
          else yield* Fiber.interrupt(fiber)
        }
        yield* turns(3)
        // Those who were handed a place in the last round.
        for (const fiber of fibers) {
          const exit = fiber.pollUnsafe()
          if (exit !== undefined && Exit.isSuccess(exit)) yield* exit.value.release
        }
        assert.deepStrictEqual(yield* stateOf(), { limit: 2, inFlight: 0, queued: 0 })
      }).pipe(Effect.provide(Layer.fresh(layer(policy))))
    )
  })
}
