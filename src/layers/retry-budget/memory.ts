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
import type { Context } from "effect"
import type { RetryPolicyValues } from "../../domain/policy.ts"
import { RetryBudget } from "../../services/retry-budget.ts"
import * as RetryBudgetPort from "../../services/retry-budget.ts"

/** Tenths are not exact in binary: ten deposits of 0.1 must pay for one call. */
const tolerance = 1e-9

/** `processes`: how many processes share the fleet's floor; 1 by default. */
export interface RetryBudgetOptions {
  readonly processes?: number | undefined
}

export const make = (
  policy: RetryPolicyValues,
  random: Context.Service.Shape<typeof Random.Random>,
  options?: RetryBudgetOptions
): RetryBudget["Service"] => {
  const floor = policy.budgetMinConcurrent / Math.max(1, options?.processes ?? 1)
  let saved = policy.budgetMax
  let first = 0
  let extra = 0

  const leave = once(() => first--)
  const leaveExtra = once(() => extra--)

  /** Whether one more extra call keeps the cap. `chance` is 0 to 1 and decides about the fraction of the floor. */
  const underCap = (chance: number): boolean =>
    extra + 1 <= policy.budgetConcurrent * (first + extra + 1) + tolerance || extra + chance < floor - tolerance

  const enterUnsafe = () => {
    first++
    return Effect.succeed({ release: leave() })
  }

  const drawUnsafe = () => {
    if (saved + tolerance < 1 || !underCap(random.nextDoubleUnsafe())) return notGranted
    saved--
    extra++
    return Effect.succeed({ granted: true, release: leaveExtra() })
  }

  return RetryBudgetPort.make({
    enterUnsafe,
    drawUnsafe,
    deposit: () => {
      saved = Math.min(policy.budgetMax, saved + policy.budgetRatio)
    },
    available: Effect.sync(() => {
      const share = policy.budgetConcurrent
      // The largest n with extra + n <= share x (first + extra + n).
      const bySize = share >= 1 ? Infinity : (share * (first + extra) - extra) / (1 - share)
      return Math.max(0, Math.floor(Math.min(saved, Math.max(bySize, floor - extra)) + tolerance))
    })
  })
}

const notGranted = Effect.succeed({ granted: false, release: () => {} })

/** A release for each lease, which acts only the first time. */
const once = (leave: () => void) => () => {
  let held = true
  return () => {
    if (!held) return
    held = false
    leave()
  }
}

/** {@link make} as a layer. */
export const layer = (policy: RetryPolicyValues, options?: RetryBudgetOptions): Layer.Layer<RetryBudget> =>
  Layer.effect(
    RetryBudget,
    Effect.map(Random.Random, (random) => make(policy, random, options))
  )
