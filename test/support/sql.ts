/** The client on a database of its own, for the suites that run on a server and on PGlite. */
import { Effect, Layer, Redacted } from "effect"
import type { StoreError } from "../../src/domain/errors.ts"
import * as Postgres from "../../src/layers/postgres/client.ts"
import * as Migrate from "../../src/layers/postgres/migrate.ts"
import * as Wheel from "../../src/layers/timers/wheel.ts"
import * as TestPglite from "./pglite.ts"
import * as TestPostgres from "./postgres.ts"
import * as StoreHealth from "./store-health.ts"

const around = Layer.mergeAll(StoreHealth.layer, Wheel.layer)

/** The client of the server at `url`. */
export const at = (url: string) =>
  Postgres.layer({ kind: "server", url: Redacted.make(url), maxConnections: 4 }).pipe(Layer.provideMerge(around))

/** A fresh database on the tests' server. */
export const server = Layer.unwrap(Effect.map(TestPostgres.database, ({ url }) => at(url)))

/** A fresh PGlite. */
export const pglite = Layer.unwrap(
  Effect.map(TestPglite.directory, (directory) => Postgres.layer({ kind: "pglite", directory }))
).pipe(Layer.provideMerge(around))

/** Either of them. */
export type Sql = Layer.Layer<Layer.Success<typeof server>, StoreError>

/** `on`, with the schema of this version. */
export const migrated = (on: Sql): Sql => Layer.provideMerge(Layer.effectDiscard(Migrate.migrate()), on)
