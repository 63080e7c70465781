/**
 * Virtual time for libraries that know nothing of it: `Date`, `performance`
 * and the timers of this process are replaced, and an Effect clock that goes by
 * the same time serves the simulated provider. Promises are real; after each
 * timer everything that it set off runs to its end before time moves on.
 *
 * Only for a process of its own: the globals are everybody's.
 */
import { install } from "@sinonjs/fake-timers"
import { Clock, Context, Duration, Effect, Scheduler } from "effect"
import * as Random from "../../../src/layers/provider/sim/random.ts"

/** The present moment when a run begins, epoch ms. An arbitrary day, so that no library takes it for "never". */
const epochMs = Date.UTC(2026, 0, 1)

/** A process in virtual time. */
export interface FakeTime {
  /** Clock and scheduler for effects. */
  readonly context: Context.Context<never>
  /** Ms since the start. */
  readonly now: () => number
  /** Let time pass until `done`. */
  readonly until: (done: Promise<void>) => Promise<void>
  /** Give the globals back. */
  readonly end: () => void
}

// Taken before anything is replaced.
const realImmediate = globalThis.setImmediate
const realRandom = Math.random

/** An Effect clock over the (replaced) globals. Whole milliseconds, as Node's timers have. */
const clockOfGlobals = (): Clock.Clock => {
  const millis = () => Date.now()
  const nanos = () => BigInt(millis()) * 1_000_000n
  return {
    currentTimeMillisUnsafe: millis,
    currentTimeMillis: Effect.sync(millis),
    currentTimeNanosUnsafe: nanos,
    currentTimeNanos: Effect.sync(nanos),
    monotonicTimeNanosUnsafe: nanos,
    monotonicTimeNanos: Effect.sync(nanos),
    sleep: (duration) => {
      const ms = Duration.toMillis(duration)
      if (!(ms > 0)) return Effect.yieldNow
      if (ms === Infinity) return Effect.never
      return Effect.callback((resume) => {
        // Rounded up: a sleeper that wakes early would look at the same moment for ever.
        const timer = setTimeout(() => resume(Effect.void), Math.ceil(ms))
        return Effect.sync(() => clearTimeout(timer))
      })
    }
  }
}

/** Replace the globals. `seed` decides what `Math.random` draws. */
export const begin = (seed: number): FakeTime => {
  const fake = install({
    now: epochMs,
    toFake: ["Date", "setTimeout", "clearTimeout", "setInterval", "clearInterval", "performance"]
  })
  Math.random = Random.make(seed, 77)
  // Effects resume in microtasks, so that one turn of the real event loop finishes all there is to do.
  const context = Context.make(Clock.Clock, clockOfGlobals()).pipe(
    Context.add(Scheduler.Scheduler, new Scheduler.MixedScheduler("sync"))
  )
  const quiet = () => new Promise<void>((resolve) => void realImmediate(resolve))
  return {
    context,
    now: () => Date.now() - epochMs,
    until: async (done) => {
      let over = false
      const finish = () => void (over = true)
      done.then(finish, finish)
      for (;;) {
        await quiet()
        if (over) return done
        if (fake.countTimers() === 0) throw new Error("virtual time: nothing is left to wait for")
        fake.next()
      }
    },
    end: () => {
      fake.uninstall()
      Math.random = realRandom
    }
  }
}
