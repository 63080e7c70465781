/**
 * A scope for the hot path: besides finalizers it takes plain releases, which
 * cost one array entry to register and one call to run. Every request and
 * every try has one; guards put their permits into it through `Guard.held`
 * and need not know which kind of scope they are in.
 *
 * It is a `Scope` for everyone else: finalizers added to it run first (what was
 * built on a permit goes before the permit), then the releases, last in first
 * out. Close it with {@link close}, not with `Scope.close`, which knows only
 * of the finalizers.
 */
import { Context, Effect, Exit, Scope } from "effect"

/** Gives something back. Must not fail; returns an effect for what cannot be done at once. */
export type Release = (exit: Exit.Exit<unknown, unknown>) => Effect.Effect<void>

const releasesKey = Symbol("ballast/services/LeaseScope")

/** A scope with releases. */
export interface LeaseScope extends Scope.Closeable {
  readonly [releasesKey]: Array<Release>
}

/** An open scope. Unsafe, because nobody closes it but its owner. */
export const makeUnsafe = (): LeaseScope => Object.assign(Scope.makeUnsafe(), { [releasesKey]: [] })

const isLeaseScope = (scope: Scope.Scope): scope is LeaseScope => releasesKey in scope

/**
 * Register a release. `undefined` when it is done; an effect to run where the
 * scope is an ordinary one. Call it in an uninterruptible region, right after
 * taking what is to be released.
 */
export const add = (scope: Scope.Scope, release: Release): Effect.Effect<void> | undefined => {
  if (!isLeaseScope(scope)) return Scope.addFinalizerExit(scope, release)
  if (scope.state._tag === "Closed") return release(scope.state.exit)
  scope[releasesKey].push(release)
  return undefined
}

/** Close the scope; `undefined` when all is done already. A second time does nothing. */
export const close = (scope: LeaseScope, exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> | undefined => {
  const finalizers = Scope.closeUnsafe(scope, exit)
  return finalizers === undefined
    ? releaseAll(scope[releasesKey], exit)
    : Effect.ensuring(
        finalizers,
        Effect.suspend(() => releaseAll(scope[releasesKey], exit) ?? Effect.void)
      )
}

const releaseAll = (releases: Array<Release>, exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> | undefined => {
  for (let release = releases.pop(); release !== undefined; release = releases.pop()) {
    const effect = release(exit)
    if (Exit.isExit(effect)) continue
    return Effect.ensuring(
      effect,
      Effect.suspend(() => releaseAll(releases, exit) ?? Effect.void)
    )
  }
  return undefined
}

/** `Effect.scoped` with a lease scope. */
export const scoped = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, Exclude<R, Scope.Scope>> =>
  Effect.suspend(() => {
    const scope = makeUnsafe()
    return Effect.onExit(Effect.provideService(self, Scope.Scope, scope), (exit) => close(scope, exit) ?? Effect.void)
  })

/**
 * A scope of its own inside the current one: closed at once when `self` fails
 * or is interrupted, with the current one otherwise.
 */
export const nested = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R | Scope.Scope> =>
  Effect.withFiber<A, E, R | Scope.Scope>((fiber) => {
    const scope = makeUnsafe()
    // The result requires a Scope, so the fiber's context has one.
    const parent = Context.getUnsafe(fiber.context, Scope.Scope)
    return Effect.onExit(
      Effect.provideService(self, Scope.Scope, scope),
      (exit) =>
        (Exit.isFailure(exit)
          ? close(scope, exit)
          : add(parent, (parentExit) => close(scope, parentExit) ?? Effect.void)) ?? Effect.void
    )
  })
