/**
 * One shared alarm clock for the whole process. A timer per request is dear
 * (undici and Node's own http keep such a wheel for the same reason), so every
 * timeout of every request is an entry in this one, which rounds up to a
 * resolution and sleeps only until its earliest entry.
 *
 * It reads Effect's Clock alone, so `TestClock` moves it.
 */
import { Context, Effect, Fiber } from "effect"
import type { Exit } from "effect"

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

/** Runs effects, one at a time, each until a given time. See {@link timeBoxes}. */
export interface TimeBox {
  <E2>(atMs: number, onTimeout: () => E2): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | E2, R>
}

/**
 * A time box that can be used again and again, but by one effect at a time:
 * one timer for a whole stream of waits.
 *
 * The boxed effect runs until `atMs`; past it, the effect is interrupted and
 * the result fails with `onTimeout` at once, without waiting for the effect's
 * finalizers (a hung finalizer must not hold the caller).
 *
 * Cheaper than `Effect.timeout`: no timer of its own, and one fiber that is
 * started in place and is gone again when the effect completes synchronously.
 */
export const timeBoxes = (timers: Timers["Service"]): TimeBox => {
  let onExpire: (() => void) | undefined
  const timer = timers.make(() => onExpire?.())
  return (atMs, onTimeout) =>
    <A, E, R>(self: Effect.Effect<A, E, R>) =>
      Effect.withFiber<A, E | ReturnType<typeof onTimeout>, R>((parent) => {
        if (atMs === Infinity) return self
        if (timers.now() >= atMs) return Effect.suspend(() => Effect.fail(onTimeout()))
        return Effect.callback((resume) => {
          // The parent fiber's context holds what `self` requires: R is in the type of the result.
          const child = Effect.runForkWith(parent.context as Context.Context<R>)(self)
          const done = child.pollUnsafe()
          if (done !== undefined) {
            resume(done)
            return
          }
          const expire = () => {
            leave()
            resume(Effect.suspend(() => Effect.fail(onTimeout())))
            child.interruptUnsafe()
          }
          // A child that outlives its timeout must not touch the box: it may be in use again.
          const leave = () => {
            if (onExpire !== expire) return
            onExpire = undefined
            timer.disarm()
          }
          onExpire = expire
          timer.arm(atMs)
          child.addObserver((exit: Exit.Exit<A, E>) => {
            leave()
            resume(exit)
          })
          return Effect.suspend(() => {
            leave()
            return Fiber.interrupt(child)
          })
        })
      })
}

/** {@link timeBoxes} for a single effect. */
export const timeBox = <E2>(timers: Timers["Service"], atMs: number, onTimeout: () => E2) =>
  timeBoxes(timers)(atMs, onTimeout)
