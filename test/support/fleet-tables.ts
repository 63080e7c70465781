/** Keys, tenants, caps and audit in a database of a test's own, migrated. */
import { Effect, Layer, Scope } from "effect"
import type { Context } from "effect"
import type { PostgresConfig } from "../../src/domain/config.ts"
import * as AuditPostgres from "../../src/layers/audit/postgres.ts"
import * as CapsPostgres from "../../src/layers/budget-caps/postgres.ts"
import * as Changes from "../../src/layers/keys/changes.ts"
import * as KeysPostgres from "../../src/layers/keys/postgres.ts"
import { Postgres } from "../../src/layers/postgres/client.ts"
import { migrate } from "../../src/layers/postgres/migrate.ts"
import * as TenantsPostgres from "../../src/layers/tenants/postgres.ts"
import { policy } from "../conformance/budget-caps.ts"
import * as Sql from "./sql.ts"

/** Which kind of database it is, for what differs between them. */
const config = {
  server: { kind: "server", maxConnections: 4 },
  pglite: { kind: "pglite", directory: undefined }
} as const

/** The services over a database that is migrated already. */
export const over = (kind: PostgresConfig["kind"], tenants: Partial<TenantsPostgres.Options> = {}) =>
  Layer.mergeAll(KeysPostgres.layer, TenantsPostgres.layer(tenants), CapsPostgres.layer(policy)).pipe(
    // The url is the client's, which is there already.
    Layer.provideMerge(Layer.mergeAll(AuditPostgres.layer, Changes.layer(config[kind] as PostgresConfig)))
  )

const migrated = Layer.effectDiscard(migrate())

/** A fresh database on the tests' server, with everything in it. */
export const server = over("server").pipe(Layer.provideMerge(migrated), Layer.provideMerge(Sql.server))

/** One PGlite for all tests of a file: to open one takes it longer than most tests. It ends with the test's process. */
const scope = Scope.makeUnsafe()
let opened: Promise<Context.Context<Layer.Success<typeof Sql.pglite>>> | undefined
const shared = Effect.promise(() => (opened ??= Effect.runPromise(Layer.buildWithScope(Sql.pglite, scope))))

/** PGlite with everything in it, and nothing of the test before. */
export const pglite = over("pglite").pipe(
  Layer.provideMerge(
    Layer.effectDiscard(
      Effect.gen(function* () {
        const { sql } = yield* Postgres
        yield* sql`DROP SCHEMA public CASCADE`
        yield* sql`CREATE SCHEMA public`
        yield* migrate()
      })
    )
  ),
  Layer.provideMerge(Layer.effectContext(shared))
)

/** No audit row can be written from now on. */
export const breakAudit = Effect.gen(function* () {
  const { sql } = yield* Postgres
  yield* sql`ALTER TABLE audit RENAME TO audit_gone`
})
