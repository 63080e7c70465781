/**
 * The caps of each tenant: those set for it by hand, else the configuration's.
 * Asked on the hot path, so what is known here is answered at once.
 */
import { Context } from "effect"
import type { Effect, Stream } from "effect"
import type { Caps } from "../domain/budget.ts"
import type { TenantId } from "../domain/caller.ts"
import type { StoreError } from "../domain/errors.ts"
import type { Act } from "./keys.ts"

/** A tenant's caps. `own`: set for it by hand; otherwise they are the configuration's. */
export interface TenantCaps {
  readonly tenant: TenantId
  readonly caps: Caps
  readonly own: boolean
}

export class BudgetCaps extends Context.Service<
  BudgetCaps,
  {
    /** The caps in force, from this process's memory. `undefined`: not known here yet, see `load`. */
    readonly capsOf: (tenant: TenantId) => Caps | undefined
    /**
     * The same, from the store where it is not in memory: one question for all
     * who ask at once. An `Exit` where it is in memory. A cap that cannot be
     * read must not be taken for none.
     */
    readonly load: (tenant: TenantId) => Effect.Effect<Caps, StoreError>
    /** What the store says now. */
    readonly get: (tenant: TenantId) => Effect.Effect<TenantCaps, StoreError>
    /** Set a tenant's own caps, all of them at once; with `undefined` the configuration's count again. One transaction with its audit row. */
    readonly set: (tenant: TenantId, caps: Caps | undefined, act: Act) => Effect.Effect<TenantCaps, StoreError>
    /** The tenants that have caps of their own, by name. */
    readonly list: Effect.Effect<ReadonlyArray<TenantCaps>, StoreError>
    /** Each tenant whose caps change from now on, wherever they were changed; `undefined`: any may have. */
    readonly changes: Stream.Stream<TenantId | undefined>
  }
>()("ballast/services/BudgetCaps") {}
