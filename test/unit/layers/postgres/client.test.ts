/** The client on a server and on PGlite: the same answers, the same errors, nobody waits for ever. */
import { assert, describe, layer } from "@effect/vitest"
import { Effect } from "effect"
import * as Postgres from "../../../../src/layers/postgres/client.ts"
import { available } from "../../../support/postgres.ts"
import * as Sql from "../../../support/sql.ts"

const suite = (name: string, on: Sql.Sql, run = true) =>
  describe.skipIf(!run)(name, () => {
    layer(on, { excludeTestServices: true })((it) => {
      it.effect("answers, with every kind of value", () =>
        Effect.gen(function* () {
          const { ask, sql } = yield* Postgres.Postgres
          const rows = yield* ask(sql`
            SELECT ${7}::int AS i, ${9_007_199_254_740_991}::bigint AS b, ${"é€"}::text AS t,
              ${new Uint8Array([1, 2, 255])}::bytea AS y, ${'{"a":[1,null]}'}::jsonb AS j, NULL::text AS n`)
          assert.strictEqual(rows[0]?.["i"], 7)
          assert.strictEqual(Number(rows[0]?.["b"]), 9_007_199_254_740_991)
          assert.strictEqual(rows[0]?.["t"], "é€")
          assert.deepStrictEqual(Uint8Array.from(rows[0]?.["y"] as Uint8Array), new Uint8Array([1, 2, 255]))
          assert.deepStrictEqual(rows[0]?.["j"], { a: [1, null] })
          assert.isNull(rows[0]?.["n"])
        })
      )
      it.effect("an error is typed, quotes no value, and the connection goes on", () =>
        Effect.gen(function* () {
          const { ask, sql } = yield* Postgres.Postgres
          const error = yield* Effect.flip(ask(sql`SELECT ${"a secret"}::text::int AS n`))
          assert.strictEqual(error.reason._tag, "Invalid")
          assert.notInclude(JSON.stringify(error), "secret")
          const missing = yield* Effect.flip(ask(sql`SELECT 1 FROM no_such_table`))
          assert.strictEqual(missing.reason._tag, "Schema")
          assert.deepStrictEqual(yield* ask(sql`SELECT 1 AS n`), [{ n: 1 }])
        })
      )
      it.effect("a transaction that fails leaves nothing, whatever it fails with", () =>
        Effect.gen(function* () {
          const { ask, sql, transaction } = yield* Postgres.Postgres
          const table = sql("things")
          yield* ask(sql`CREATE TABLE ${table} (n int PRIMARY KEY)`)
          const own = yield* Effect.flip(
            transaction(Effect.andThen(sql`INSERT INTO ${table} VALUES (1)`, Effect.fail("mine" as const)))
          )
          assert.strictEqual(own, "mine")
          const twice = yield* Effect.flip(
            transaction(
              Effect.andThen(ask(sql`INSERT INTO ${table} VALUES (2)`), ask(sql`INSERT INTO ${table} VALUES (2)`))
            )
          )
          assert.strictEqual(twice.reason._tag, "Conflict")
          assert.deepStrictEqual(yield* ask(sql`SELECT * FROM ${table}`), [])
          yield* ask(sql`DROP TABLE ${table}`)
        })
      )
    })
  })

suite("a server", Sql.server, available)
suite("PGlite", Sql.pglite)
