import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Scheduler, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as Caller from "../../../src/domain/caller.ts"
import { BulkheadError } from "../../../src/domain/errors.ts"
import * as Guard from "../../../src/services/guard.ts"
import * as LeaseScope from "../../../src/services/lease-scope.ts"
import * as RequestRecord from "../../../src/services/request-record.ts"

/** A guard that counts its open leases. */
const counting = () => {
  const state = { open: 0, taken: 0 }
  const enter: Guard.EnterUnsafe<Guard.Lease, never> = () => {
    state.open++
    state.taken++
    let held = true
    return Effect.succeed({
      release: () => {
        if (held) state.open--
        held = false
      }
    })
  }
  return { state, enter, acquire: Guard.acquire(enter) }
}

/** A guard that refuses everybody. */
const refusing: Guard.EnterUnsafe<Guard.Lease, string> = (_restore, requestId) => Effect.fail(`refused ${requestId}`)

/** A step that goes on. */
const next = (n: number) => Effect.succeed(n + 1)

describe("Guard.protect", () => {
  it.effect("holds the lease while the effect runs, and gives it back however it ends", () =>
    Effect.gen(function* () {
      const { acquire, state } = counting()
      const inside = Effect.sync(() => state.open)
      assert.strictEqual(yield* Guard.protect(acquire)(inside), 1)
      assert.strictEqual(state.open, 0)
      yield* Effect.exit(Guard.protect(acquire)(Effect.fail("x")))
      yield* Effect.exit(Guard.protect(acquire)(Effect.die("x")))
      assert.strictEqual(state.open, 0)
      assert.strictEqual(state.taken, 3)
    })
  )

  it.effect("a refused acquisition starts nothing", () =>
    Effect.gen(function* () {
      let started = false
      const error = yield* Effect.flip(Guard.protect(Effect.fail("full"))(Effect.sync(() => (started = true))))
      assert.strictEqual(error, "full")
      assert.isFalse(started)
    })
  )

  it.effect("leaves the effect's own resources to the effect's own scope", () =>
    Effect.gen(function* () {
      const { acquire, state } = counting()
      let released = false
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* Guard.protect(acquire)(Effect.addFinalizer(() => Effect.sync(() => (released = true))))
          assert.strictEqual(state.open, 0)
          assert.isFalse(released)
        })
      )
      assert.isTrue(released)
    })
  )

  it.effect("leaks nothing wherever an interruption lands", () =>
    Effect.gen(function* () {
      const { acquire, state } = counting()
      for (let ops = 3; ops <= 64; ops++) {
        for (let turns = 0; turns < 4; turns++) {
          const fiber = yield* Guard.protect(acquire)(Effect.never).pipe(
            Effect.provideService(Scheduler.MaxOpsBeforeYield, ops),
            Effect.forkChild
          )
          for (let i = 0; i < turns; i++) yield* Effect.yieldNow
          yield* Fiber.interrupt(fiber)
          assert.strictEqual(state.open, 0)
        }
      }
    })
  )
})

describe("Guard.protectStream", () => {
  it.effect("holds the lease from the first pull to the end", () =>
    Effect.gen(function* () {
      const { acquire, state } = counting()
      const stream = Guard.protectStream(acquire)(Stream.fromEffectRepeat(Effect.sync(() => state.open)))
      assert.strictEqual(state.open, 0)
      assert.deepStrictEqual(yield* Stream.runCollect(Stream.take(stream, 3)), [1, 1, 1])
      assert.strictEqual(state.open, 0)
    })
  )

  it.effect("gives it back on failure and when the consumer is interrupted", () =>
    Effect.gen(function* () {
      const { acquire, state } = counting()
      const failing = Stream.concat(Stream.make(1), Stream.fail("cut"))
      assert.deepStrictEqual(
        yield* Effect.exit(Stream.runDrain(Guard.protectStream(acquire)(failing))),
        Exit.fail("cut")
      )
      assert.strictEqual(state.open, 0)

      const begun = yield* Deferred.make<void>()
      const endless = Stream.concat(Stream.fromEffect(Deferred.succeed(begun, undefined)), Stream.never)
      const fiber = yield* Effect.forkChild(Stream.runDrain(Guard.protectStream(acquire)(endless)))
      yield* Deferred.await(begun)
      assert.strictEqual(state.open, 1)
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(state.open, 0)
    })
  )
})

describe("Guard.acquire", () => {
  it.effect("gives back at once when the scope is already closed", () =>
    Effect.gen(function* () {
      const { acquire, state } = counting()
      const scope = yield* Scope.make()
      yield* Scope.close(scope, Exit.void)
      yield* Scope.provide(acquire, scope)
      assert.strictEqual(state.taken, 1)
      assert.strictEqual(state.open, 0)
    })
  )

  it.effect("registers with an ordinary scope and with a lease scope alike", () =>
    Effect.gen(function* () {
      const { acquire, state } = counting()
      const ordinary = yield* Scope.make()
      const leases = LeaseScope.makeUnsafe()
      yield* Scope.provide(acquire, ordinary)
      yield* Scope.provide(acquire, leases)
      assert.strictEqual(state.open, 2)
      assert.isUndefined(LeaseScope.close(leases, Exit.void))
      assert.strictEqual(state.open, 1)
      yield* Scope.close(ordinary, Exit.void)
      assert.strictEqual(state.open, 0)
    })
  )

  it.effect("hands the guard the request's id, and a refusal through", () =>
    Effect.gen(function* () {
      const refusal = Effect.flip(Guard.acquire(refusing))
      const record = RequestRecord.make({ id: "req-7", operation: "chat", caller: Caller.anonymous, startedAt: 0 })
      assert.strictEqual(yield* refusal, "refused undefined")
      assert.strictEqual(yield* Effect.provideService(refusal, RequestRecord.CurrentRecord, record), "refused req-7")
    })
  )

  it.effect("takes nothing before it is run, and anew each time", () =>
    Effect.gen(function* () {
      const { acquire, state } = counting()
      assert.strictEqual(state.taken, 0)
      yield* Effect.scoped(Effect.andThen(acquire, acquire))
      assert.deepStrictEqual(state, { open: 0, taken: 2 })
    })
  )

  it.effect("a guard that waits is interruptible in its wait, and only there", () =>
    Effect.gen(function* () {
      const state = { open: 0, waiting: 0 }
      const waits: Guard.EnterUnsafe<Guard.Lease, never> = (restore) => {
        state.waiting++
        return Effect.onExit(
          Effect.andThen(
            restore(Effect.sleep(100)),
            Effect.sync(() => {
              state.open++
              return { release: () => void state.open-- }
            })
          ),
          () => Effect.sync(() => void state.waiting--)
        )
      }
      for (let ops = 3; ops <= 64; ops++) {
        const turns = ops % 7
        const fiber = yield* Effect.scoped(Effect.andThen(Guard.acquire(waits), Effect.never)).pipe(
          Effect.provideService(Scheduler.MaxOpsBeforeYield, ops),
          Effect.forkChild
        )
        for (let i = 0; i < turns; i++) yield* Effect.yieldNow
        if (ops % 2 === 0) yield* TestClock.adjust(100)
        yield* Fiber.interrupt(fiber)
        assert.deepStrictEqual(state, { open: 0, waiting: 0 }, `${ops}`)
      }
    })
  )
})

describe("Guard.chain", () => {
  it.effect("goes on with a success, stops at a failure, done or not", () =>
    Effect.gen(function* () {
      // Nothing is left to interpret where both are done.
      assert.isTrue(Exit.isExit(Guard.chain(Exit.succeed(1), next)))
      assert.strictEqual(yield* Guard.chain(Exit.succeed(1), next), 2)
      assert.strictEqual(yield* Guard.chain(Effect.as(Effect.yieldNow, 1), next), 2)
      const failing: Effect.Effect<number, string> = Effect.fail("x")
      assert.deepStrictEqual(yield* Effect.exit(Guard.chain(failing, next)), Exit.fail("x"))
      const later: Effect.Effect<number, string> = Effect.andThen(Effect.yieldNow, Effect.fail("y"))
      assert.deepStrictEqual(yield* Effect.exit(Guard.chain(later, next)), Exit.fail("y"))
    })
  )
})

describe("Guard.refusal", () => {
  it("makes an error without a trace, and leaves traces of other errors as they were", () => {
    const error = Guard.refusal(
      () => new BulkheadError({ reason: { _tag: "QueueFull", key: "openai", retryAfterMs: 10 } })
    )
    assert.notMatch(error.stack ?? "", /\n\s+at /)
    assert.match(error.message, /openai/)
    assert.match(new Error("a fault").stack ?? "", /\n\s+at /)
    assert.throws(() =>
      Guard.refusal((): Error => {
        throw new Error("in the making")
      })
    )
    assert.match(new Error("a fault").stack ?? "", /\n\s+at /)
  })
})
