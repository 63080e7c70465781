/** Entries as rows of the table `ledger`, and their sums. */
import { Clock, Effect, Option } from "effect"
import type { StoreError } from "../../domain/errors.ts"
import type { LedgerEntry, LedgerSum } from "../../domain/ledger.ts"
import { nothing } from "../../domain/ledger.ts"
import type { LedgerQuery } from "../../services/ledger.ts"
import type { Postgres } from "../postgres/client.ts"
import * as Entries from "./entries.ts"

/** Rows of one statement: some 300 kB of JSON. */
const most = 1_000

/** Months known to have their partition; what is added are months around now. */
const monthsAround = { back: 13, ahead: 1 }

export interface Rows {
  /** Write entries, all of them or none. Those that are there already are left as they are. */
  readonly insert: (entries: ReadonlyArray<LedgerEntry>) => Effect.Effect<void, StoreError>
  readonly sum: (query: LedgerQuery) => Effect.Effect<LedgerSum, StoreError>
}

/** The number of a time's UTC month, counted from the year 0. */
const monthOf = (atMs: number): number => {
  const at = new Date(atMs)
  return at.getUTCFullYear() * 12 + at.getUTCMonth()
}
const firstOf = (month: number): string =>
  `${String(Math.floor(month / 12)).padStart(4, "0")}-${String((month % 12) + 1).padStart(2, "0")}-01T00:00:00Z`

export const make = ({ ask, sql, transaction }: Postgres["Service"]): Rows => {
  const made = new Set<number>()

  /**
   * Have partitions made for the months of `entries`, and the month to come.
   * Not within a transaction of a caller: it would hold the table's lock as
   * long. Where it fails, the rows go to the default partition.
   */
  const partitions = Effect.fnUntraced(function* (entries: ReadonlyArray<LedgerEntry>) {
    const now = monthOf(yield* Clock.currentTimeMillis)
    const wanted = new Set([now, now + 1])
    for (const { atMs } of entries) wanted.add(monthOf(atMs))
    const missing = [...wanted].filter(
      (month) => !made.has(month) && month >= now - monthsAround.back && month <= now + monthsAround.ahead
    )
    if (missing.length === 0) return
    if (Option.isSome(yield* Effect.serviceOption(sql.transactionService))) return
    const times = `{${missing.map(firstOf).join(",")}}`
    yield* ask(sql`SELECT ballast_ledger_months(${times}::timestamptz[])`)
    for (const month of missing) made.add(month)
  })

  // One parameter for any number of rows, so that the statement is prepared once.
  const statement = (rows: ReadonlyArray<LedgerEntry>) => sql`
    INSERT INTO ledger (id, kind, at, tenant, end_user, feature, model, provider, prompt_version,
      input_tokens, output_tokens, micro_usd, outcome)
    SELECT id, kind, to_timestamp("atMs" / 1000.0), tenant, "user", feature, model, provider, "promptVersion",
      "inputTokens", "outputTokens", "microUsd", outcome
    FROM jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) AS rows (id text, kind text, "atMs" float8, tenant text,
      "user" text, feature text, model text, provider text, "promptVersion" text,
      "inputTokens" bigint, "outputTokens" bigint, "microUsd" bigint, outcome text)
    ON CONFLICT DO NOTHING`

  const insert: Rows["insert"] = Effect.fnUntraced(function* (entries) {
    const rows = yield* Entries.check(entries)
    if (rows.length === 0) return
    yield* Effect.ignore(partitions(rows))
    if (rows.length <= most) return yield* Effect.asVoid(ask(statement(rows)))
    const parts = Array.from({ length: Math.ceil(rows.length / most) }, (_, part) =>
      rows.slice(part * most, (part + 1) * most)
    )
    // A second for each thousand: what is large takes longer.
    yield* transaction(Effect.forEach(parts, statement, { discard: true }), 5_000 + rows.length)
  })

  const sum: Rows["sum"] = ({ feature, fromMs, tenant, toMs }) =>
    Effect.map(
      ask(sql<LedgerSum>`
        SELECT count(*)::float8 AS entries, coalesce(sum(input_tokens + output_tokens), 0)::float8 AS tokens,
          coalesce(sum(micro_usd), 0)::float8 AS "microUsd"
        FROM ledger
        WHERE tenant = ${tenant} AND (${feature ?? null}::text IS NULL OR feature = ${feature ?? null}::text)
          AND at >= to_timestamp(${fromMs}::float8 / 1000) AND at < to_timestamp(${toMs}::float8 / 1000)`),
      ([row]) => row ?? nothing
    )

  return { insert, sum }
}
