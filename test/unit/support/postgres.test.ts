import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import { available, breakable, client, database, startPostgres } from "../../support/postgres.ts"
import { listens } from "../../support/store-server.ts"

describe.skipIf(!available)("the shared PostgreSQL", () => {
  it.live("gives each a database of its own, and drops it under whoever is still connected", () =>
    Effect.gen(function* () {
      const other = yield* database
      const otherSql = yield* client(other.url)
      yield* otherSql`CREATE TABLE t (n INT)`
      const life = yield* Scope.make()
      const mine = yield* Scope.provide(database, life)
      const sql = yield* client(mine.url)
      const tables = sql`SELECT count(*)::int AS n FROM pg_tables WHERE schemaname = 'public'`
      assert.deepStrictEqual(yield* tables, [{ n: 0 }])
      yield* Scope.close(life, Exit.void)
      assert.isTrue(Exit.isFailure(yield* Effect.exit(tables)))
      assert.deepStrictEqual(yield* otherSql`SELECT count(*)::int AS n FROM t`, [{ n: 0 }])
    })
  )
})

describe.skipIf(!breakable)("a PostgreSQL of one's own", () => {
  it.live("hangs while it is paused, keeps what was committed when it is killed, and is gone with its scope", () =>
    Effect.gen(function* () {
      const port = yield* Effect.scoped(
        Effect.gen(function* () {
          const server = yield* startPostgres
          yield* Effect.scoped(
            Effect.gen(function* () {
              const sql = yield* client(server.url)
              yield* sql`CREATE TABLE t (n INT)`
              yield* server.pause
              const waited = yield* Effect.timeoutOption(sql`INSERT INTO t VALUES (1)`, 100)
              assert.strictEqual(waited._tag, "None")
              yield* server.resume
            })
          )
          const before = yield* client(server.url)
          yield* before`INSERT INTO t VALUES (2)`
          yield* server.kill
          assert.isFalse(yield* Effect.promise(() => listens(server.port)))
          yield* server.restart
          const after = yield* client(server.url)
          assert.deepStrictEqual(yield* after`SELECT n FROM t WHERE n = 2`, [{ n: 2 }])
          return server.port
        })
      )
      assert.isFalse(yield* Effect.promise(() => listens(port)))
    })
  )
})
