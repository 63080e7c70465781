/** The schema: made once, whoever asks and how often; and never touched where it is not what we know. */
import { assert, describe, layer } from "@effect/vitest"
import { Effect, Queue } from "effect"
import * as Postgres from "../../../../src/layers/postgres/client.ts"
import * as Migrate from "../../../../src/layers/postgres/migrate.ts"
import * as Migrations from "../../../../src/layers/postgres/migrations/all.ts"
import { available } from "../../../support/postgres.ts"
import * as Sql from "../../../support/sql.ts"

const steps = Migrations.all.map(({ id, name }) => ({ id, name }))

/** Everything there is in the schema, to compare. */
const relations = Effect.gen(function* () {
  const { ask, sql } = yield* Postgres.Postgres
  const rows = yield* ask(sql<{ name: string }>`
    SELECT relname || relkind::text AS name FROM pg_class WHERE relnamespace = current_schema()::regnamespace ORDER BY 1`)
  return rows.map(({ name }) => name)
})

const failing = { id: steps.length + 1, name: "failing", statements: ["CREATE TABLE half ()", "SELECT 1 / 0"] }

const suite = (name: string, on: Sql.Sql, run = true) =>
  describe.skipIf(!run)(name, () => {
    layer(on, { excludeTestServices: true })((it) => {
      it.effect("of an empty database: it is not there, then it is made, and made once", () =>
        Effect.gen(function* () {
          const before = yield* Effect.flip(Migrate.verify)
          assert.strictEqual(before.reason._tag, "Schema")
          const made = yield* Effect.all([Migrate.migrate(), Migrate.migrate(), Migrate.migrate()], { concurrency: 3 })
          assert.deepStrictEqual(
            made.flat().toSorted((a, b) => a.id - b.id),
            steps
          )
          yield* Migrate.verify
          assert.deepStrictEqual(yield* Migrate.migrate(), [])
        })
      )

      it.effect("a step that fails leaves nothing of itself", () =>
        Effect.gen(function* () {
          yield* Migrate.migrate()
          const before = yield* relations
          const error = yield* Effect.flip(Migrate.migrate([...Migrations.all, failing]))
          assert.strictEqual(error.reason._tag, "Invalid")
          assert.deepStrictEqual(yield* relations, before)
          yield* Migrate.verify
        })
      )

      it.effect("a newer database, or one with other steps, is left alone", () =>
        Effect.gen(function* () {
          const { ask, sql } = yield* Postgres.Postgres
          yield* Migrate.migrate()
          yield* ask(sql`INSERT INTO ballast_migrations (id, name) VALUES (999, 'from the future')`)
          const before = yield* relations
          for (const attempt of [Effect.asVoid(Migrate.migrate()), Migrate.verify]) {
            const error = yield* Effect.flip(attempt)
            assert.strictEqual(error.reason._tag, "Schema")
            assert.include(error.message, "newer than this version")
          }
          assert.deepStrictEqual(yield* relations, before)
          yield* ask(sql`UPDATE ballast_migrations SET id = 2, name = 'other' WHERE id = 2`)
          assert.include((yield* Effect.flip(Migrate.verify)).message, "'2 other'")
          yield* ask(sql`DELETE FROM ballast_migrations WHERE id = 999`)
          yield* ask(sql`UPDATE ballast_migrations SET name = ${steps[1]?.name ?? assert.fail()} WHERE id = 2`)
          yield* Migrate.verify
        })
      )

      it.effect("tables that nobody made a note of: typed, and nothing more is made", () =>
        Effect.gen(function* () {
          const { ask, sql } = yield* Postgres.Postgres
          yield* Migrate.migrate()
          yield* ask(sql`DELETE FROM ballast_migrations WHERE id = 2`)
          const before = yield* relations
          assert.strictEqual((yield* Effect.flip(Migrate.verify)).reason._tag, "Schema")
          assert.strictEqual((yield* Effect.flip(Migrate.migrate())).reason._tag, "Schema")
          assert.deepStrictEqual(yield* relations, before)
          yield* ask(sql`INSERT INTO ballast_migrations (id, name) VALUES (2, ${steps[1]?.name ?? assert.fail()})`)
          yield* ask(sql`ALTER TABLE budget_caps RENAME TO gone`)
          const error = yield* Effect.flip(Migrate.verify)
          assert.include(error.message, "'budget_caps' is missing")
          yield* ask(sql`ALTER TABLE gone RENAME TO budget_caps`)
        })
      )
    })
  })

suite("a server", Sql.server, available)
suite("PGlite", Sql.pglite)

describe.skipIf(!available)("changes", () => {
  layer(Sql.server, { excludeTestServices: true })((it) => {
    it.effect("of a tenant, a key or a cap are said once they are committed, and to nobody before", () =>
      Effect.gen(function* () {
        const { ask, sql, transaction } = yield* Postgres.Postgres
        yield* Migrate.migrate()
        const heard = yield* sql.listen("ballast_changes")
        const next = Effect.map(Queue.take(heard), ({ payload }): unknown => JSON.parse(payload))
        yield* Effect.ignore(
          transaction(Effect.andThen(sql`INSERT INTO tenants (id) VALUES ('undone')`, Effect.fail(0)))
        )
        yield* transaction(
          sql`INSERT INTO tenants (id) VALUES ('acme')`.pipe(
            Effect.andThen(sql`
              INSERT INTO api_keys (id, tenant, hash, scopes) VALUES ('k1', 'acme', sha256('secret'), '{chat}')`)
          )
        )
        assert.deepStrictEqual(yield* next, { table: "tenants", tenant: "acme" })
        assert.deepStrictEqual(yield* next, { table: "api_keys", tenant: "acme", id: "k1" })
        yield* ask(sql`UPDATE api_keys SET revoked_at = now() WHERE id = 'k1'`)
        assert.deepStrictEqual(yield* next, { table: "api_keys", tenant: "acme", id: "k1" })
        const long = "x".repeat(9_000)
        yield* ask(sql`INSERT INTO budget_caps (tenant, "window", micro_usd) VALUES (${long}, 'day', 1)`)
        assert.deepStrictEqual(yield* next, { table: "budget_caps" })
        const twice = yield* Effect.flip(
          ask(sql`INSERT INTO budget_caps (tenant, "window", tokens) VALUES (${long}, 'day', 1)`)
        )
        assert.strictEqual(twice.reason._tag, "Conflict")
      })
    )
  })
})
