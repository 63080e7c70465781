import { assert, describe, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber, Layer, Scheduler } from "effect"
import { TestClock } from "effect/testing"
import * as TimerWheel from "../../../src/layers/timers/wheel.ts"
import { timeBox, timeBoxes, Timers } from "../../../src/services/timers.ts"

/** A wheel that counts the timers that are armed, so that a leak shows. */
const counting = Effect.gen(function* () {
  const timers = yield* TimerWheel.make()
  const armed = new Set<object>()
  const counted = Timers.of({
    now: timers.now,
    make: (onExpire) => {
      const self = {}
      const timer = timers.make(() => {
        armed.delete(self)
        onExpire()
      })
      return {
        arm: (at) => {
          armed.add(self)
          timer.arm(at)
        },
        disarm: () => {
          armed.delete(self)
          timer.disarm()
        }
      }
    }
  })
  return { timers: counted, armed: () => armed.size }
})

const late = () => "late" as const

describe("timeBox", () => {
  it.effect("gives the result through and disarms", () =>
    Effect.gen(function* () {
      const { armed, timers } = yield* counting
      const box = timeBox(timers, 1_000, late)
      assert.strictEqual(yield* box(Effect.succeed(1)), 1)
      assert.strictEqual(yield* box(Effect.as(Effect.yieldNow, 2)), 2)
      assert.strictEqual(armed(), 0)
    })
  )

  it.effect("gives failures and defects through and disarms", () =>
    Effect.gen(function* () {
      const { armed, timers } = yield* counting
      const box = timeBox(timers, 1_000, late)
      assert.strictEqual(yield* Effect.flip(box(Effect.fail("wrong"))), "wrong")
      assert.strictEqual(yield* Effect.flip(box(Effect.andThen(Effect.yieldNow, Effect.fail("wrong")))), "wrong")
      const died = yield* Effect.exit(box(Effect.andThen(Effect.yieldNow, Effect.die("bug"))))
      assert.isTrue(Exit.isFailure(died) && Cause.hasDies(died.cause))
      assert.strictEqual(armed(), 0)
    })
  )

  it.effect("past the time fails with the typed failure and interrupts the work", () =>
    Effect.gen(function* () {
      const { armed, timers } = yield* counting
      let interrupted = false
      const work = Effect.onInterrupt(Effect.never, () => Effect.sync(() => (interrupted = true)))
      const fiber = yield* Effect.forkChild(timeBox(timers, 1_000, late)(work))
      yield* TestClock.adjust(999)
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust(11)
      assert.deepStrictEqual(yield* Fiber.await(fiber), Exit.fail("late"))
      assert.isTrue(interrupted)
      assert.strictEqual(armed(), 0)
    })
  )

  it.effect("work that ends in time is not touched later", () =>
    Effect.gen(function* () {
      const { timers } = yield* counting
      const fiber = yield* Effect.forkChild(timeBox(timers, 1_000, late)(Effect.as(Effect.sleep(500), "done")))
      yield* TestClock.adjust(500)
      assert.deepStrictEqual(yield* Fiber.await(fiber), Exit.succeed("done"))
      yield* TestClock.adjust(5_000)
    })
  )

  it.effect("a hung finalizer does not hold the caller", () =>
    Effect.gen(function* () {
      const { timers } = yield* counting
      const work = Effect.ensuring(Effect.never, Effect.never)
      const fiber = yield* Effect.forkChild(timeBox(timers, 100, late)(work))
      yield* TestClock.adjust(110)
      assert.deepStrictEqual(yield* Fiber.await(fiber), Exit.fail("late"))
    })
  )

  it.effect("a time that has passed fails without starting the work", () =>
    Effect.gen(function* () {
      const { timers } = yield* counting
      yield* TestClock.setTime(5_000)
      let started = false
      const work = Effect.sync(() => (started = true))
      assert.strictEqual(yield* Effect.flip(timeBox(timers, 5_000, late)(work)), "late")
      assert.isFalse(started)
    })
  )

  it.effect("no limit arms nothing", () =>
    Effect.gen(function* () {
      const { armed, timers } = yield* counting
      const fiber = yield* Effect.forkChild(timeBox(timers, Infinity, late)(Effect.never))
      yield* Effect.yieldNow
      assert.strictEqual(armed(), 0)
      yield* Fiber.interrupt(fiber)
    })
  )

  it.effect("interruption from outside interrupts the work, waits for its finalizer, and disarms", () =>
    Effect.gen(function* () {
      const { armed, timers } = yield* counting
      const gate = yield* Deferred.make<void>()
      let cleaned = false
      const work = Effect.ensuring(
        Effect.never,
        Effect.andThen(
          Deferred.await(gate),
          Effect.sync(() => (cleaned = true))
        )
      )
      const fiber = yield* Effect.forkChild(timeBox(timers, 1_000, late)(work))
      yield* Effect.yieldNow
      assert.strictEqual(armed(), 1)
      const interrupting = yield* Effect.forkChild(Fiber.interrupt(fiber))
      yield* Effect.yieldNow
      assert.isUndefined(interrupting.pollUnsafe())
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(interrupting)
      assert.isTrue(cleaned)
      assert.strictEqual(armed(), 0)
    })
  )

  it.effect("the work sees the caller's services", () =>
    Effect.gen(function* () {
      const timers = yield* Timers
      const now = yield* timeBox(timers, 1_000, late)(Effect.map(Timers, (inner) => inner === timers))
      assert.isTrue(now)
    }).pipe(Effect.provide(Layer.fresh(TimerWheel.layer)))
  )

  it.effect("leaks neither timer nor work wherever an interruption lands", () =>
    Effect.gen(function* () {
      const { armed, timers } = yield* counting
      let running = 0
      const work = Effect.acquireUseRelease(
        Effect.sync(() => running++),
        () => Effect.forEach(Array.from({ length: 5 }), () => Effect.yieldNow),
        () => Effect.sync(() => running--)
      )
      for (let ops = 3; ops <= 64; ops++) {
        for (let turns = 0; turns < 8; turns++) {
          const fiber = yield* timeBox(
            timers,
            1e9,
            late
          )(work).pipe(Effect.provideService(Scheduler.MaxOpsBeforeYield, ops), Effect.forkChild)
          for (let i = 0; i < turns; i++) yield* Effect.yieldNow
          yield* Fiber.interrupt(fiber)
          assert.strictEqual(running, 0)
          assert.strictEqual(armed(), 0)
        }
      }
    })
  )
})

describe("timeBoxes", () => {
  it.effect("is used again and again with one timer, and nothing of an earlier use is left", () =>
    Effect.gen(function* () {
      const { armed, timers } = yield* counting
      const box = timeBoxes(timers)
      for (let i = 0; i < 3; i++) {
        assert.strictEqual(yield* box(timers.now() + 100, late)(Effect.as(Effect.yieldNow, i)), i)
        assert.strictEqual(armed(), 0)
        yield* TestClock.adjust(150)
      }
      const fiber = yield* Effect.forkChild(box(timers.now() + 100, late)(Effect.never))
      yield* TestClock.adjust(110)
      assert.deepStrictEqual(yield* Fiber.await(fiber), Exit.fail("late"))
    })
  )

  it.effect("work of an earlier use that hangs in its finalizer does not disarm a later one", () =>
    Effect.gen(function* () {
      const { timers } = yield* counting
      const box = timeBoxes(timers)
      const gate = yield* Deferred.make<void>()
      const stubborn = yield* Effect.forkChild(box(100, late)(Effect.ensuring(Effect.never, Deferred.await(gate))))
      yield* TestClock.adjust(110)
      assert.deepStrictEqual(yield* Fiber.await(stubborn), Exit.fail("late"))
      const next = yield* Effect.forkChild(box(300, late)(Effect.never))
      yield* Effect.yieldNow
      yield* Deferred.succeed(gate, undefined)
      yield* Effect.yieldNow
      assert.isUndefined(next.pollUnsafe())
      yield* TestClock.adjust(300)
      assert.deepStrictEqual(yield* Fiber.await(next), Exit.fail("late"))
    })
  )
})
