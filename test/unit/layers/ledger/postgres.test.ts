/** The books in Postgres: the conformance suite, partitions, the view of costs, and rows that are never changed. */
import { assert, describe, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as LedgerPostgres from "../../../../src/layers/ledger/postgres.ts"
import * as Postgres from "../../../../src/layers/postgres/client.ts"
import { Ledger } from "../../../../src/services/ledger.ts"
import { suite } from "../../../conformance/ledger.ts"
import { all, entry, noon } from "../../../support/ledger.ts"
import { available } from "../../../support/postgres.ts"
import * as Sql from "../../../support/sql.ts"

const parts = Effect.gen(function* () {
  const { ask, sql } = yield* Postgres.Postgres
  const rows = yield* ask(sql<{ name: string }>`SELECT inhrelid::regclass::text AS name FROM pg_inherits
    WHERE inhparent = 'ledger'::regclass ORDER BY 1`)
  return rows.map(({ name }) => name)
})
const partOf = (atMs: number) => `ledger_${new Date(atMs).toISOString().slice(0, 7).replace("-", "_")}`

const more = (name: string, on: Sql.Sql, run = true) => {
  const ledger = Layer.provideMerge(LedgerPostgres.layer(), Sql.migrated(on))
  suite(name, ledger, run)
  describe.skipIf(!run)(`Ledger's table: ${name}`, () => {
    layer(ledger, { excludeTestServices: true })((it) => {
      it.effect("months around now get partitions, all others the default one", () =>
        Effect.gen(function* () {
          const { ask, sql } = yield* Postgres.Postgres
          const { write } = yield* Ledger
          const now = new Date()
          const month = (ahead: number) => Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + ahead, 3)
          assert.deepStrictEqual(yield* parts, [partOf(month(0)), partOf(month(1)), "ledger_default"].toSorted())
          const times = [month(-3), month(0), month(-30), month(14)]
          yield* write(times.map((atMs, i) => entry("parts", `p${i}`, { atMs })))
          const expected = [partOf(month(-3)), partOf(month(0)), partOf(month(1)), "ledger_default"]
          assert.deepStrictEqual(yield* parts, expected.toSorted())
          const found = yield* ask(
            sql`SELECT id, tableoid::regclass::text AS part FROM ledger WHERE tenant = 'parts' ORDER BY id`
          )
          assert.deepStrictEqual(found, [
            { id: "p0", part: partOf(month(-3)) },
            { id: "p1", part: partOf(month(0)) },
            { id: "p2", part: "ledger_default" },
            { id: "p3", part: "ledger_default" }
          ])
          // Entries of a month that are in the default partition stay there, and do no harm.
          yield* ask(sql`SELECT ballast_ledger_months(ARRAY[to_timestamp(${month(-3)}::float8 / 1000)])`)
        })
      )

      it.effect(
        "the view of costs: by day, tenant, user, feature, model and prompt version, corrections included",
        () =>
          Effect.gen(function* () {
            const { ask, sql } = yield* Postgres.Postgres
            const { write } = yield* Ledger
            yield* write([
              entry("cost", "c1", { microUsd: 1_250_000 }),
              entry("cost", "c2", { kind: "expired", microUsd: 500_000 }),
              entry("cost", "c2", { kind: "corrected", microUsd: -400_000, inputTokens: 0, outputTokens: 0 }),
              entry("cost", "c3", { promptVersion: "greet@1.2.0", user: null })
            ])
            const rows =
              yield* ask(sql`SELECT day::text, tenant, end_user, feature, model, prompt_version, requests::int,
            input_tokens::int, output_tokens::int, micro_usd::int, usd::text FROM cost WHERE tenant = 'cost' ORDER BY usd DESC`)
            const same = { day: "2026-05-15", tenant: "cost", feature: "chat", model: "m" }
            assert.deepStrictEqual(rows, [
              {
                ...same,
                end_user: "u1",
                prompt_version: null,
                requests: 2,
                input_tokens: 20,
                output_tokens: 10,
                micro_usd: 1_350_000,
                usd: "1.350000"
              },
              {
                ...same,
                end_user: null,
                prompt_version: "greet@1.2.0",
                requests: 1,
                input_tokens: 10,
                output_tokens: 5,
                micro_usd: 100,
                usd: "0.000100"
              }
            ])
          })
      )

      it.effect("rows are never changed or removed, through no partition either", () =>
        Effect.gen(function* () {
          const { ask, sql } = yield* Postgres.Postgres
          const { sum, write } = yield* Ledger
          yield* write([entry("fixed", "f1"), entry("fixed", "f2", { atMs: Date.now() })])
          for (const table of ["ledger", "ledger_default", partOf(Date.now())]) {
            for (const statement of [`UPDATE ${table} SET micro_usd = 0`, `DELETE FROM ${table}`]) {
              assert.strictEqual((yield* Effect.flip(ask(sql.unsafe(statement)))).reason._tag, "Invalid", statement)
            }
          }
          assert.strictEqual((yield* Effect.flip(ask(sql`TRUNCATE ledger`))).reason._tag, "Invalid")
          assert.strictEqual((yield* sum({ ...all("fixed"), toMs: noon + 1e12 })).microUsd, 200)
        })
      )

      it.effect("within a transaction of the caller entries are a part of it", () =>
        Effect.gen(function* () {
          const { transaction } = yield* Postgres.Postgres
          const { sum, write } = yield* Ledger
          yield* Effect.flip(transaction(Effect.andThen(write([entry("part", "t1")]), Effect.fail("undone"))))
          assert.strictEqual((yield* sum(all("part"))).entries, 0)
          yield* transaction(write([entry("part", "t1")]))
          assert.strictEqual((yield* sum(all("part"))).entries, 1)
        })
      )
    })
  })
}

more("a server", Sql.server, available)
more("PGlite", Sql.pglite)
