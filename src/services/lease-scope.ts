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
import { Effect, Exit, Scope } from "effect"

/** What a guard gave. `release` gives it back at once and never fails; a second time it does nothing. */
export interface Lease {
  readonly release: () => void
}

/** Gives something back. Must not fail; returns an effect for what cannot be done at once. */
export type Release = (exit: Exit.Exit<unknown, unknown>) => Effect.Effect<void> | void

const releasesKey = Symbol("ballast/services/LeaseScope")

/** A scope with releases. */
export interface LeaseScope extends Scope.Closeable {
  readonly [releasesKey]: Array<Release | Lease>
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
  if (!isLeaseScope(scope)) return Scope.addFinalizerExit(scope, (exit) => release(exit) ?? Effect.void)
  if (scope.state._tag === "Closed") return release(scope.state.exit) ?? undefined
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

const releaseAll = (
  releases: Array<Release | Lease>,
  exit: Exit.Exit<unknown, unknown>
): Effect.Effect<void> | undefined => {
  for (let release = releases.pop(); release !== undefined; release = releases.pop()) {
    const effect = run(release, exit)
    if (effect === undefined || (Exit.isExit(effect) && Exit.isSuccess(effect))) continue
    return Effect.ensuring(
      effect,
      Effect.suspend(() => releaseAll(releases, exit) ?? Effect.void)
    )
  }
  return undefined
}

/**
 * What a release left to do. Releases are plain functions of any layer: one
 * that throws, against its contract, must not cost the others their turn,
 * hence the one try/catch.
 */
const run = (release: Release | Lease, exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> | void => {
  try {
    return typeof release === "function" ? release(exit) : release.release()
  } catch (defect) {
    return Effect.suspend(() => Effect.die(defect))
  }
}

/** `Effect.scoped` with a lease scope. */
export const scoped = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, Exclude<R, Scope.Scope>> =>
  Effect.suspend(() => {
    const scope = makeUnsafe()
    return Effect.onExit(Effect.provideService(self, Scope.Scope, scope), (exit) => close(scope, exit) ?? Effect.void)
  })

/** {@link add} for a scope of one's own that is known to be open; a lease is held without a closure. */
export const hold = (scope: LeaseScope, lease: Release | Lease): void => {
  scope[releasesKey].push(lease)
}

/**
 * What the owner of a scope inside `parent` does when its work has ended: a
 * failure closes the scope at once, a success leaves it to be closed with the
 * parent.
 */
export const leave = (
  scope: LeaseScope,
  parent: Scope.Scope,
  exit: Exit.Exit<unknown, unknown>
): Effect.Effect<void> | undefined =>
  Exit.isFailure(exit) ? close(scope, exit) : add(parent, (parentExit) => close(scope, parentExit))
