/** What was spent, by whatever people ask for: the sums of the ledger. */
import { Context, Schema } from "effect"
import type { Effect } from "effect"
import type { TenantId } from "../domain/caller.ts"
import type { StoreError } from "../domain/errors.ts"

/** What costs can be told apart by. `day` is a UTC day, `prompt` a prompt's version. */
export const Dimension = Schema.Literals(["day", "tenant", "user", "feature", "model", "prompt"])
export type Dimension = typeof Dimension.Type

/** One sum. `of`: the values of the dimensions asked for, in that order; `null` where an entry has none. Money in micro-dollars. */
export interface Cost {
  readonly of: ReadonlyArray<string | null>
  readonly requests: number
  readonly inputTokens: number
  readonly outputTokens: number
  readonly microUsd: number
}

export class Costs extends Context.Service<
  Costs,
  {
    /** Costs of the last `days` UTC days, today's included, dearest first. Of all tenants where none is named. */
    readonly by: (
      dimensions: ReadonlyArray<Dimension>,
      days: number,
      tenant?: TenantId
    ) => Effect.Effect<ReadonlyArray<Cost>, StoreError>
  }
>()("ballast/services/Costs") {}
