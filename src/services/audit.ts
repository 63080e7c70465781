/**
 * Who did what: every administrative act is one row, only ever added.
 */
import { Context, Schema } from "effect"
import type { Effect } from "effect"
import type { StoreError } from "../domain/errors.ts"

/**
 * One act.
 *
 * - `actor`: who, as far as it is known (`cli:NAME`, `admin-api`, `schedule`)
 * - `action`: what, e.g. `key.create`, `budget.set`, `breaker.trip`
 * - `subject`: on what, e.g. a key's id, a tenant, a breaker's key
 * - `before`, `after`: JSON values without secrets; `null` where there was, or is, nothing
 */
export const AuditEntry = Schema.Struct({
  atMs: Schema.Finite,
  actor: Schema.NonEmptyString,
  action: Schema.NonEmptyString,
  subject: Schema.String,
  before: Schema.Unknown,
  after: Schema.Unknown,
  reason: Schema.String
})
export interface AuditEntry extends Schema.Schema.Type<typeof AuditEntry> {}

export class Audit extends Context.Service<
  Audit,
  {
    /** Write an act down. An act that cannot be written down must not be done. */
    readonly record: (entry: Omit<AuditEntry, "atMs">) => Effect.Effect<void, StoreError>
    /** The latest acts, newest first. */
    readonly list: (limit: number) => Effect.Effect<ReadonlyArray<AuditEntry>, StoreError>
  }
>()("ballast/services/Audit") {}
