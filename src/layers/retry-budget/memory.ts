/**
 * The retry budget of this process: a bucket that successes fill, and a cap on
 * the extra calls in flight.
 *
 * - bucket: starts full; each success pays in `budgetRatio`, each extra call takes one (after gRPC proposal A6). When
 *   everything fails it runs dry, and extra calls stop
 * - cap: extra calls in flight are at most `budgetConcurrent` of all calls in flight, or a floor where that is more
 *   (after Envoy's retry budget)
 *
 * `budgetMax` and `budgetMinConcurrent` are for the whole fleet: what each
 * process may do by itself grows with the number of processes. But a process
 * never has less than ten (`account.ts`), else single failures would go unanswered.
 */
import { Effect, Layer } from "effect"
import type { RetryPolicyValues } from "../../domain/policy.ts"
import { RetryBudget } from "../../services/retry-budget.ts"
import * as RetryBudgetPort from "../../services/retry-budget.ts"
import { Account, Extra, First, notGranted } from "./account.ts"

/** The budget of one process of a fleet of `processes`. */
export const make = (policy: RetryPolicyValues): RetryBudget["Service"] => {
  const account = new Account(policy)
  return RetryBudgetPort.make({
    enterUnsafe: () => Effect.succeed(new First(account)),
    drawUnsafe: () => {
      if (!account.pays() || !account.fits()) return notGranted
      account.spend()
      return Effect.succeed(new Extra(account))
    },
    deposit: () => account.pay(policy.budgetRatio),
    available: Effect.sync(() => account.available())
  })
}

/** {@link make} as a layer. */
export const layer = (policy: RetryPolicyValues): Layer.Layer<RetryBudget> =>
  Layer.sync(RetryBudget, () => make(policy))
