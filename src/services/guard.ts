/**
 * What all guards have in common. A guard offers a scoped acquisition first;
 * `protect` and `protectStream` derive from it how a piece of work holds the
 * lease exactly as long as it lasts, streams included, and give it back on
 * success, failure and interruption.
 */
import { Context, Effect, Exit, Scope, Stream } from "effect"
import * as LeaseScope from "./lease-scope.ts"
import type { Lease } from "./lease-scope.ts"
import { CurrentRecord } from "./request-record.ts"

/**
 * Hold what `acquire` takes while an effect runs, and not a moment longer.
 *
 * Resources that the effect itself puts into its scope are not touched: the
 * lease has a scope of its own.
 *
 * @example
 * const guarded = program.pipe(Guard.protect(bulkhead.acquire(request)))
 */
export const protect =
  <L, E2, R2>(acquire: Effect.Effect<L, E2, R2>) =>
  <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E | E2, R | Exclude<R2, Scope.Scope>> =>
    Effect.scopedWith((scope) => Effect.flatMap(Scope.provide(acquire, scope), () => self))

/**
 * Hold what `acquire` takes while a stream is consumed: from the first pull
 * until the stream ends, fails, or its consumer stops or is interrupted.
 */
export const protectStream =
  <L, E2, R2>(acquire: Effect.Effect<L, E2, R2>) =>
  <A, E, R>(self: Stream.Stream<A, E, R>): Stream.Stream<A, E | E2, R | Exclude<R2, Scope.Scope>> =>
    Stream.unwrap(Effect.as(acquire, self))

export type { Lease } from "./lease-scope.ts"

/** Makes an effect interruptible again, as far as it was outside of the mask. */
export type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

/**
 * The raw way into a guard, for layers to implement and for the hot path to use.
 *
 * Unsafe in two ways: it acts when it is called, not when its result is run,
 * and nobody but the caller releases the lease. The result is an `Exit` where
 * the guard could decide at once (in this process's memory), else an effect to
 * run. Call it in an uninterruptible region; `restore` is for the guard's waits.
 */
export type EnterUnsafe<L extends Lease, E> = (restore: Restore, requestId: string | undefined) => Effect.Effect<L, E>

/** The scoped acquisition that every guard offers, from its raw way in. */
export const acquire = <L extends Lease, E>(enter: EnterUnsafe<L, E>): Effect.Effect<L, E, Scope.Scope> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.withFiber<L, E, Scope.Scope>((fiber) => {
      // The result requires a Scope, so the fiber's context has one.
      const scope = Context.getUnsafe(fiber.context, Scope.Scope)
      return chain(enter(restore, Context.get(fiber.context, CurrentRecord)?.id), (lease) => {
        const registered = LeaseScope.add(scope, () => lease.release())
        return registered === undefined ? Effect.succeed(lease) : Effect.as(registered, lease)
      })
    })
  )

/**
 * `Effect.flatMap` that goes straight on where the first effect is already done: no operation for the interpreter.
 * (Not named `then`: a module that exports a `then` is a thenable, and importing it dynamically never ends.)
 */
export const chain = <A, E, B, E2, R, R2>(
  self: Effect.Effect<A, E, R>,
  f: (a: A) => Effect.Effect<B, E2, R2>
): Effect.Effect<B, E | E2, R | R2> => {
  if (!Exit.isExit(self)) return Effect.flatMap(self, f)
  // An Exit is an effect of the same A and E; the guard of isExit forgets them.
  const exit = self as Exit.Exit<A, E>
  return Exit.isSuccess(exit) ? f(exit.value) : Exit.failCause(exit.cause)
}

/**
 * Make the error of a guard that says no, without a stack trace: a refusal is
 * an ordinary answer whose reason says all there is to know, and a trace costs
 * several times what the decision does, at the very moment when there is too
 * much to do.
 */
export const refusal = <E extends Error>(make: () => E): E => {
  const limit = Error.stackTraceLimit
  Error.stackTraceLimit = 0
  // `finally` alone: whatever the constructor does, traces of real faults come back.
  try {
    return make()
  } finally {
    Error.stackTraceLimit = limit
  }
}

/** The request id as the optional field that all errors have. */
export const withRequestId = (requestId: string | undefined): { readonly requestId?: string } =>
  requestId === undefined ? {} : { requestId }
