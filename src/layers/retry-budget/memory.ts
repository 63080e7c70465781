/**
 * The retry budget of this process: a bucket that successes fill, and a cap on
 * the extra calls in flight.
 *
 * - bucket: starts full at `budgetMax`; each success pays in `budgetRatio`, each extra call takes one (after gRPC proposal
 *   A6). When everything fails it runs dry, and retries stop
 * - cap: extra calls in flight are at most `budgetConcurrent` of all calls in flight, or `budgetMinConcurrent` where that
 *   is more (after Envoy's retry budget)
 *
 * `budgetMinConcurrent` is for the whole fleet: a floor for each process would
 * grow with the number of processes. A process's share may be less than one
 * call; then it grants the fraction by chance, and the fleet gets the sum.
 */
import { Effect, Layer, Random } from "effect"
import type { Fiber } from "effect"
import type { RetryPolicyValues } from "../../domain/policy.ts"
import * as Guard from "../../services/guard.ts"
import { RetryBudget } from "../../services/retry-budget.ts"

/** Tenths are not exact in binary: ten deposits of 0.1 must pay for one call. */
const tolerance = 1e-9

/** `processes`: how many processes share the fleet's floor; 1 by default. */
export interface RetryBudgetOptions {
  readonly processes?: number | undefined
}

export const make = (policy: RetryPolicyValues, options?: RetryBudgetOptions): RetryBudget["Service"] => {
  const floor = policy.budgetMinConcurrent / Math.max(1, options?.processes ?? 1)
  let saved = policy.budgetMax
  let first = 0
  let extra = 0

  const leave = () => {
    first--
    return Effect.void
  }
  const leaveExtra = () => {
    extra--
    return Effect.void
  }

  /** Whether one more extra call keeps the cap. `chance` is 0 to 1 and decides about the fraction of the floor. */
  const underCap = (chance: number): boolean =>
    extra + 1 <= policy.budgetConcurrent * (first + extra + 1) + tolerance || extra + chance < floor - tolerance

  const drawIn = (fiber: Fiber.Fiber<unknown, unknown>): Effect.Effect<boolean> => {
    if (saved + tolerance < 1 || !underCap(fiber.getRef(Random.Random).nextDoubleUnsafe())) return Effect.succeed(false)
    saved--
    extra++
    return Guard.held(fiber, true, leaveExtra)
  }

  return RetryBudget.of({
    enter: Effect.uninterruptible(
      Effect.withFiber((fiber) => {
        first++
        return Guard.held(fiber, undefined, leave)
      })
    ),
    draw: Effect.uninterruptible(Effect.withFiber(drawIn)),
    deposit: Effect.sync(() => {
      saved = Math.min(policy.budgetMax, saved + policy.budgetRatio)
    }),
    available: Effect.sync(() => {
      const share = policy.budgetConcurrent
      // The largest n with extra + n <= share x (first + extra + n).
      const bySize = share >= 1 ? Infinity : (share * (first + extra) - extra) / (1 - share)
      return Math.max(0, Math.floor(Math.min(saved, Math.max(bySize, floor - extra)) + tolerance))
    })
  })
}

/** {@link make} as a layer. */
export const layer = (policy: RetryPolicyValues, options?: RetryBudgetOptions): Layer.Layer<RetryBudget> =>
  Layer.sync(RetryBudget, () => make(policy, options))
