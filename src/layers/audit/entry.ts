/** What every layer of Audit asks of an act before it writes it down. */
import { Effect, Schema, Struct } from "effect"
import { StoreError } from "../../domain/errors.ts"
import { AuditEntry } from "../../services/audit.ts"

/** An act as it is kept: `before` and `after` as JSON text. */
export interface Kept {
  readonly actor: string
  readonly action: string
  readonly subject: string
  readonly before: string
  readonly after: string
  readonly reason: string
}

const decode = Schema.decodeUnknownEffect(Schema.Struct(Struct.omit(AuditEntry.fields, ["atMs"])))

const invalid = (detail: string) => new StoreError({ store: "postgres", reason: { _tag: "Invalid", detail } })

/** JSON text; what JSON has no word for is `null`. The error quotes nothing. */
const json = (value: unknown, name: string): Effect.Effect<string, StoreError> =>
  Effect.try({
    try: () => JSON.stringify(value) ?? "null",
    catch: () => invalid(`'${name}' of an audit entry is not JSON`)
  })

/** `Invalid` for an act that has no actor or no action, or whose values are not JSON. */
export const keep = (entry: Omit<AuditEntry, "atMs">): Effect.Effect<Kept, StoreError> =>
  Effect.gen(function* () {
    const { action, actor, reason, subject } = yield* Effect.mapError(decode(entry), () =>
      invalid("an audit entry needs an actor, an action, a subject and a reason")
    )
    const before = yield* json(entry.before, "before")
    const after = yield* json(entry.after, "after")
    const kept = { actor, action, subject, before, after, reason }
    // Postgres has no such character.
    if (Object.values(kept).some((text) => text.includes("\0") || text.includes("\\u0000"))) {
      return yield* invalid("an audit entry holds a NUL character")
    }
    return kept
  })

/** How many rows `list(limit)` means. */
export const rows = (limit: number): number => (limit >= 1 ? Math.min(Math.floor(limit), 10_000) : 0)
