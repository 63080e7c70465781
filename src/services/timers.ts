/**
 * One shared alarm clock for the whole process. A timer per request is dear
 * (undici and Node's own http keep such a wheel for the same reason), so every
 * timeout of every request is an entry in this one, which rounds up to a
 * resolution and sleeps only until its earliest entry.
 *
 * It reads Effect's Clock alone, so `TestClock` moves it.
 */
import { Context, Effect, Exit, Fiber } from "effect"

/** One alarm. It can be armed again and again; arming for later costs one field write. */
export interface Timer {
  /** Ring at `atMs` (epoch ms, rounded up to the wheel's resolution); replaces an earlier time. */
  readonly arm: (atMs: number) => void
  /** Do not ring. */
  readonly disarm: () => void
}

/** The shared alarm clock. Its methods are plain functions: they are called inside other services' synchronous steps. */
export class Timers extends Context.Service<
  Timers,
  {
    /** The clock's time in epoch ms. */
    readonly now: () => number
    /** A new alarm, not armed. `onExpire` runs outside any fiber and must not throw. */
    readonly make: (onExpire: () => void) => Timer
  }
>()("ballast/services/Timers") {}

/**
 * Run `self` until `atMs`; past it, interrupt `self` and fail with `onTimeout`
 * at once, without waiting for its finalizers (a hung finalizer must not hold
 * the caller).
 *
 * Cheaper than `Effect.timeout`: no timer of its own and one fiber, started in place.
 */
export const timeBox =
  <E2>(timers: Timers["Service"], atMs: number, onTimeout: () => E2) =>
  <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E | E2, R> =>
    Effect.withFiber((parent) => {
      if (atMs === Infinity) return self
      if (timers.now() >= atMs) return Effect.suspend(() => Effect.fail(onTimeout()))
      return Effect.callback<A, E | E2, R>((resume) => {
        // The parent fiber's context holds what `self` requires: R is in the type of the result.
        const child = Effect.runForkWith(parent.context as Context.Context<R>)(self)
        const done = child.pollUnsafe()
        if (done !== undefined) {
          resume(done)
          return
        }
        const timer = timers.make(() => {
          resume(Effect.suspend(() => Effect.fail(onTimeout())))
          child.interruptUnsafe()
        })
        timer.arm(atMs)
        child.addObserver((exit: Exit.Exit<A, E>) => {
          timer.disarm()
          resume(exit)
        })
        return Effect.suspend(() => {
          timer.disarm()
          return Fiber.interrupt(child)
        })
      })
    })
