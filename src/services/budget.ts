/**
 * Money and tokens of a tenant, a feature and a request: reserve what a request
 * may cost, meter while it streams, settle what it did cost, exactly once.
 *
 * A reservation that is neither settled nor released (its process was killed)
 * is booked as spent when it expires, and the books say so.
 */
import { Context, Effect } from "effect"
import type { Scope } from "effect"
import type { CapState } from "../domain/budget.ts"
import type { Caller } from "../domain/caller.ts"
import type { Price } from "../domain/catalog.ts"
import type { BudgetError, StoreError } from "../domain/errors.ts"
import type { Money } from "../domain/money.ts"
import * as Guard from "./guard.ts"
import type { EnterUnsafe, Lease } from "./guard.ts"

/** What a request may need. Tokens are estimates; `model` is the alias, whose use the estimates of `learned` follow. */
export interface BudgetRequest {
  readonly caller: Caller
  readonly model: string
  readonly price: Price
  readonly inputTokens: number
  /** Most output tokens of the answer. */
  readonly outputTokens: number
  /** The answer can be cut: where a cap as a whole is smaller, only so much is set aside. */
  readonly elastic?: boolean
}

/** What a request has cost, and what of. */
export interface Spending {
  readonly inputTokens: number
  readonly outputTokens: number
  /** Micro-dollars. */
  readonly cost: Money
  /** The alias that answered; where missing, the one that was reserved for. */
  readonly model?: string | undefined
  readonly provider?: string | undefined
  readonly promptVersion?: string | undefined
  readonly outcome: string
}

/** Money and tokens set aside. Releasing before settling gives all of it back and books nothing. */
export interface BudgetReservation extends Lease {
  /** The reservation's id in the books. */
  readonly id: string
  /** Micro-dollars set aside; `Infinity` where no cap applies. */
  readonly granted: () => Money
  /** Tokens set aside; `Infinity` where no cap applies. */
  readonly grantedTokens: () => number
  /** `downgrade`: from the hard threshold on, for plans that ask for a smaller model there. */
  readonly advice: "full" | "downgrade"
  /** The caps that are past their soft threshold. */
  readonly warnings: ReadonlyArray<CapState>
  /**
   * Set aside so much more (micro-dollars, tokens); false where a cap is in the
   * way or cannot be asked. Not for after `settle`.
   */
  readonly extend: (more: Money, tokens: number) => Effect.Effect<boolean>
  /** Replace the estimate by what was spent. Once; later calls change nothing. Nobody waits for the store. */
  readonly settle: (spending: Spending) => void
}

/** Where a tenant's caps stand. */
export interface BudgetStatus {
  readonly caps: ReadonlyArray<CapState & { readonly spent: number; readonly reserved: number; readonly name: string }>
}

export class Budget extends Context.Service<
  Budget,
  {
    /** Set aside what `request` may cost, under every cap at once, or refuse. */
    readonly reserve: (request: BudgetRequest) => Effect.Effect<BudgetReservation, BudgetError, Scope.Scope>
    /** {@link EnterUnsafe} of the same. The request id, where there is one, becomes the reservation's id. */
    readonly reserveUnsafe: (request: BudgetRequest) => EnterUnsafe<BudgetReservation, BudgetError>
    /** What `caller` gets near the end of its budget besides a refusal: a smaller model, and so much of its prompt. */
    readonly downgrade: (caller: Caller) => { readonly maxInputTokens: number } | undefined
    /** What a tenant has spent and reserved under each of its caps; without `feature` its tenant caps alone. */
    readonly status: (tenant: Caller["tenant"], feature?: string) => Effect.Effect<BudgetStatus, StoreError>
    /** Set the counters of a tenant from the ledger, as one versioned write. */
    readonly recompute: (tenant: Caller["tenant"]) => Effect.Effect<BudgetStatus, StoreError>
  }
>()("ballast/services/Budget") {}

/** The service from its raw way in and the rest. */
export const make = (service: Omit<Budget["Service"], "reserve">): Budget["Service"] =>
  Budget.of({ ...service, reserve: (request) => Guard.acquire(service.reserveUnsafe(request)) })
