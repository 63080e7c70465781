/** Acts in Postgres: a part of the caller's transaction, and never changed. */
import { assert, describe, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as AuditPostgres from "../../../../src/layers/audit/postgres.ts"
import * as Postgres from "../../../../src/layers/postgres/client.ts"
import { Audit } from "../../../../src/services/audit.ts"
import { suite } from "../../../conformance/audit.ts"
import { available } from "../../../support/postgres.ts"
import * as Sql from "../../../support/sql.ts"

const act = { actor: "a", action: "b", subject: "c", before: null, after: null, reason: "d" }

const more = (name: string, on: Sql.Sql, run = true) => {
  const audit = Layer.provideMerge(AuditPostgres.layer, Sql.migrated(on))
  suite(name, audit, run)
  describe.skipIf(!run)(`Audit in a transaction: ${name}`, () => {
    layer(audit, { excludeTestServices: true })((it) => {
      it.effect("what is undone is not written down, and what is written down is done", () =>
        Effect.gen(function* () {
          const { ask, sql, transaction } = yield* Postgres.Postgres
          const { list, record } = yield* Audit
          const add = (id: string) =>
            Effect.andThen(record({ ...act, subject: id }), sql`INSERT INTO tenants (id) VALUES (${id})`)
          yield* transaction(add("kept"))
          assert.strictEqual((yield* Effect.flip(transaction(add("kept")))).reason._tag, "Conflict")
          yield* Effect.flip(transaction(Effect.andThen(add("undone"), record({ ...act, actor: "" }))))
          assert.deepStrictEqual(
            (yield* list(9)).map(({ subject }) => subject),
            ["kept"]
          )
          assert.deepStrictEqual(yield* ask(sql`SELECT id FROM tenants`), [{ id: "kept" }])
        })
      )
      it.effect("rows are never changed or removed", () =>
        Effect.gen(function* () {
          const { ask, sql } = yield* Postgres.Postgres
          const { list, record } = yield* Audit
          yield* record(act)
          const before = yield* list(99)
          for (const statement of ["UPDATE audit SET actor = 'x'", "DELETE FROM audit", "TRUNCATE audit"]) {
            assert.strictEqual((yield* Effect.flip(ask(sql.unsafe(statement)))).reason._tag, "Invalid")
          }
          assert.deepStrictEqual(yield* list(99), before)
        })
      )
    })
  })
}

more("a server", Sql.server, available)
more("PGlite", Sql.pglite)
