/**
 * One budget for all extra calls of this process: retries, fallbacks after a
 * failed call, hedges. Successes fund it; it also caps how many extra calls
 * run at once. Without such a budget, retries keep an overload alive after
 * its cause is gone (Bronson et al., "Metastable Failures in Distributed
 * Systems", HotOS 2021; Huang et al., OSDI 2022).
 */
import { Context, Effect } from "effect"
import type { Scope } from "effect"
import * as Guard from "./guard.ts"
import type { EnterUnsafe, Lease } from "./guard.ts"

/** A call in flight. */
export interface Place extends Lease {
  /** Instead of `release`: the call was not made after all (refused on the way, its caller gone), so it costs nothing. */
  readonly unused: () => void
}

/** The answer to a request for an extra call; there is nothing to give back where it was not granted. */
export interface Draw extends Place {
  readonly granted: boolean
}

export class RetryBudget extends Context.Service<
  RetryBudget,
  {
    /** Count a first call as in flight until the scope closes. */
    readonly enter: Effect.Effect<Place, never, Scope.Scope>
    /** {@link EnterUnsafe} of the same. */
    readonly enterUnsafe: EnterUnsafe<Place, never>
    /** Draw one extra call, in flight until the scope closes, if the budget allows it. */
    readonly draw: Effect.Effect<Draw, never, Scope.Scope>
    /** {@link EnterUnsafe} of the same. */
    readonly drawUnsafe: EnterUnsafe<Draw, never>
    /** Pay in after a call that succeeded. Nobody waits for it: a store that is far away is told in the background. */
    readonly deposit: () => void
    /** Extra calls that could be drawn now. */
    readonly available: Effect.Effect<number>
  }
>()("ballast/services/RetryBudget") {}

/** The service from its raw ways in and the rest. */
export const make = (service: Omit<RetryBudget["Service"], "enter" | "draw">): RetryBudget["Service"] =>
  RetryBudget.of({ ...service, enter: Guard.acquire(service.enterUnsafe), draw: Guard.acquire(service.drawUnsafe) })
