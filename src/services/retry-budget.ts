/**
 * One budget for all extra calls of this process: retries, fallbacks after a
 * failed call, hedges. Successes fund it; it also caps how many extra calls
 * run at once. Without such a budget, retries keep an overload alive after
 * its cause is gone (Bronson et al., "Metastable Failures in Distributed
 * Systems", HotOS 2021; Huang et al., OSDI 2022).
 */
import { Context, Effect } from "effect"
import type { Scope } from "effect"

export class RetryBudget extends Context.Service<
  RetryBudget,
  {
    /** Count a first call as in flight until the scope closes. */
    readonly enter: Effect.Effect<void, never, Scope.Scope>
    /** Draw one extra call, in flight until the scope closes; `false` when the budget does not allow it. */
    readonly draw: Effect.Effect<boolean, never, Scope.Scope>
    /** Pay in after a call that succeeded. */
    readonly deposit: Effect.Effect<void>
    /** Extra calls that could be drawn now. */
    readonly available: Effect.Effect<number>
  }
>()("ballast/services/RetryBudget") {}
