/**
 * What all guards have in common. A guard offers a scoped acquisition first;
 * `protect` and `protectStream` derive from it how a piece of work holds the
 * lease exactly as long as it lasts, streams included, and give it back on
 * success, failure and interruption.
 */
import { Context, Effect, Scope, Stream } from "effect"
import type { Fiber } from "effect"
import * as LeaseScope from "./lease-scope.ts"
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

/**
 * For layers: register `release` in the fiber's scope and succeed with `lease`.
 *
 * Gotcha: only to be returned from `Effect.withFiber` inside
 * `Effect.uninterruptible`, right after the synchronous step that took the
 * lease; an interruption between the two would lose it. This costs half of
 * `Effect.acquireRelease`.
 */
export const held = <A>(
  fiber: Fiber.Fiber<unknown, unknown>,
  lease: A,
  release: () => Effect.Effect<void>
): Effect.Effect<A> => {
  // Every `acquire` requires a Scope, so the fiber's context has one.
  const registered = LeaseScope.add(Context.getUnsafe(fiber.context, Scope.Scope), release)
  return registered === undefined ? Effect.succeed(lease) : Effect.as(registered, lease)
}

/** For layers: the id of the fiber's request, as the field that all errors have. Read only where an error is made. */
export const requestId = (fiber: Fiber.Fiber<unknown, unknown>): { readonly requestId?: string } => {
  const id = Context.get(fiber.context, CurrentRecord)?.id
  return id === undefined ? {} : { requestId: id }
}
