/**
 * The ledger's vocabulary: one entry for each settled request, each expired
 * reservation and each correction of one. Entries are only ever added; the sum
 * of a tenant's entries is what the tenant has spent.
 */
import { Schema } from "effect"
import { TenantId } from "./caller.ts"
import { Money } from "./money.ts"

const Count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))

/**
 * One entry.
 *
 * - `id`: the reservation's id; with `kind` the primary key, so that whoever writes an entry twice writes it once
 * - `kind`: `settled`: what a request really cost; `expired`: its holder was lost, booked as estimated; `corrected`: the
 *   holder of an expired one came back: the difference, which may be negative
 * - `atMs`: when the reservation was made (epoch ms, by the store's clock): it decides the day and the month
 */
export const LedgerEntry = Schema.Struct({
  id: Schema.NonEmptyString,
  kind: Schema.Literals(["settled", "expired", "corrected"]),
  atMs: Schema.Finite,
  tenant: TenantId,
  user: Schema.NullOr(Schema.String),
  feature: Schema.String,
  model: Schema.String,
  provider: Schema.NullOr(Schema.String),
  promptVersion: Schema.NullOr(Schema.String),
  inputTokens: Schema.Int,
  outputTokens: Schema.Int,
  microUsd: Money,
  outcome: Schema.String
})
export interface LedgerEntry extends Schema.Schema.Type<typeof LedgerEntry> {}

/** A sum over entries. */
export const LedgerSum = Schema.Struct({ entries: Count, tokens: Schema.Int, microUsd: Money })
export interface LedgerSum extends Schema.Schema.Type<typeof LedgerSum> {}

/** Nothing spent. */
export const nothing: LedgerSum = { entries: 0, tokens: 0, microUsd: 0 }
