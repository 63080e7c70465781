import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Exit, Layer, Scope } from "effect"
import { TestClock } from "effect/testing"
import * as TimerWheel from "../../../../src/layers/timers/wheel.ts"
import { Timers } from "../../../../src/services/timers.ts"
import { suite } from "../../../conformance/timers.ts"

suite("wheel", TimerWheel.layer, 10)
suite("wheel of 250 ms", TimerWheel.layerWith({ resolutionMs: 250 }), 250)

/** A wheel over a clock that counts its sleeps. */
const counted = Effect.gen(function* () {
  const clock = yield* Clock.Clock
  const sleeps: Array<number> = []
  let sleeping = 0
  const counting: Clock.Clock = {
    ...clock,
    sleep: (duration) =>
      Effect.suspend(() => {
        sleeps.push(clock.currentTimeMillisUnsafe())
        sleeping++
        return Effect.ensuring(
          clock.sleep(duration),
          Effect.sync(() => sleeping--)
        )
      })
  }
  const scope = yield* Scope.make()
  const timers = yield* TimerWheel.make().pipe(
    Effect.provideService(Clock.Clock, counting),
    Effect.provideService(Scope.Scope, scope)
  )
  return { timers, scope, sleeps, sleeping: () => sleeping }
})

describe("timer wheel", () => {
  it.effect("sleeps only while something is armed", () =>
    Effect.gen(function* () {
      const { sleeping, sleeps, timers } = yield* counted
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(sleeps.length, 0)
      timers.make(() => {}).arm(timers.now() + 100)
      assert.strictEqual(sleeping(), 1)
      yield* TestClock.adjust(100)
      assert.strictEqual(sleeping(), 0)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(sleeps.length, 1)
    })
  )

  it.effect("thousands of timers share one sleeper", () =>
    Effect.gen(function* () {
      const { sleeping, sleeps, timers } = yield* counted
      let rang = 0
      for (let i = 0; i < 5_000; i++) timers.make(() => rang++).arm(1_000 + i)
      assert.strictEqual(sleeping(), 1)
      assert.strictEqual(sleeps.length, 1)
      yield* TestClock.adjust(10_000)
      assert.strictEqual(rang, 5_000)
    })
  )

  it.effect("re-arming for later wakes nobody", () =>
    Effect.gen(function* () {
      const { sleeps, timers } = yield* counted
      const timer = timers.make(() => {})
      for (let i = 0; i < 1_000; i++) timer.arm(1_000 + i)
      assert.strictEqual(sleeps.length, 1)
      // Once at the old time, to move over to the new one.
      yield* TestClock.adjust(3_000)
      assert.strictEqual(sleeps.length, 2)
    })
  )

  it.effect("the sleeper rests when the scope closes, and later arms are ignored", () =>
    Effect.gen(function* () {
      const { scope, sleeping, timers } = yield* counted
      let rang = 0
      const timer = timers.make(() => rang++)
      timer.arm(100)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(sleeping(), 0)
      timer.arm(50)
      assert.strictEqual(sleeping(), 0)
      yield* TestClock.adjust(1_000)
      assert.strictEqual(rang, 0)
    })
  )

  it.effect("a clock set back makes no new timer late", () =>
    Effect.gen(function* () {
      const timers = yield* Timers
      let rang = 0
      yield* TestClock.setTime(3_600_000)
      timers.make(() => rang++).arm(timers.now() + 50)
      yield* TestClock.adjust(100)
      assert.strictEqual(rang, 1)
      yield* TestClock.setTime(1_000)
      timers.make(() => rang++).arm(timers.now() + 50)
      yield* TestClock.adjust(60)
      assert.strictEqual(rang, 2)
    }).pipe(Effect.provide(Layer.fresh(TimerWheel.layer)))
  )

  it.live("works in real time", () =>
    Effect.gen(function* () {
      const timers = yield* Timers
      const start = timers.now()
      yield* Effect.callback<void>((resume) => {
        timers.make(() => resume(Effect.void)).arm(start + 30)
      })
      assert.isAtLeast(timers.now() - start, 30)
    }).pipe(Effect.provide(Layer.fresh(TimerWheel.layer)))
  )
})
