/**
 * The books: what every request has cost, append-only. `append` never waits
 * and never fails; the entry is written in the background, survives a pause of
 * the store, and is written before the process ends in order.
 */
import { Context } from "effect"
import type { Effect } from "effect"
import type { Caller } from "../domain/caller.ts"
import type { StoreError } from "../domain/errors.ts"
import type { LedgerEntry, LedgerSum } from "../domain/ledger.ts"

/** Which entries to sum: of a tenant, of one feature where given, from `fromMs` until before `toMs` (epoch ms). */
export interface LedgerQuery {
  readonly tenant: Caller["tenant"]
  readonly feature?: string | undefined
  readonly fromMs: number
  readonly toMs: number
}

export class Ledger extends Context.Service<
  Ledger,
  {
    /** Write an entry, in the background. False: the queue is full, and the entry was not taken. */
    readonly append: (entry: LedgerEntry) => boolean
    /** Write entries now, in one transaction; one that is there already is left as it is. */
    readonly write: (entries: ReadonlyArray<LedgerEntry>) => Effect.Effect<void, StoreError>
    /** The sum of what has been written. */
    readonly sum: (query: LedgerQuery) => Effect.Effect<LedgerSum, StoreError>
    /** Entries taken and not yet written. */
    readonly pending: () => number
    /** Succeeds once everything taken so far is written. */
    readonly flush: Effect.Effect<void, StoreError>
  }
>()("ballast/services/Ledger") {}
