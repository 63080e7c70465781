/** A Postgres that is stopped, killed, read-only or full: typed errors in time, nothing lost, nothing half there. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Schedule, Scope } from "effect"
import * as LedgerPostgres from "../../../../src/layers/ledger/postgres.ts"
import * as Postgres from "../../../../src/layers/postgres/client.ts"
import * as Migrate from "../../../../src/layers/postgres/migrate.ts"
import * as Migrations from "../../../../src/layers/postgres/migrations/all.ts"
import { Ledger } from "../../../../src/services/ledger.ts"
import { all, entry } from "../../../support/ledger.ts"
import { breakable, startPostgres } from "../../../support/postgres.ts"
import * as Sql from "../../../support/sql.ts"
import { HealthReports } from "../../../support/store-health.ts"

const quick: LedgerPostgres.Options = { pauseMs: [10, 50], lingerMs: 1 }

/** Until Postgres answers again; the server itself says so, but connections of before are still found dead. */
const answers = Effect.flatMap(Postgres.Postgres, ({ ask, sql }) => ask(sql`SELECT 1`)).pipe(
  Effect.retry(Schedule.spaced(20))
)
/** Until `condition` holds, by asking again and again. */
const until = <E, R>(condition: Effect.Effect<boolean, E, R>) =>
  Effect.repeat(condition, { until: (holds) => holds, schedule: Schedule.spaced(10) })

const took = (tenant: string) =>
  Effect.flatMap(Ledger, ({ sum }) => Effect.map(sum({ ...all(tenant), toMs: 1e14 }), ({ entries }) => entries))

describe.skipIf(!breakable)("A Postgres of one's own", () => {
  it.live(
    "is broken in every way, and the ledger outlasts it",
    () =>
      Effect.gen(function* () {
        const server = yield* startPostgres
        yield* Effect.gen(function* () {
          const { ask, sql, transaction } = yield* Postgres.Postgres
          const { reports } = yield* HealthReports
          yield* Migrate.migrate()
          const scope = yield* Scope.make()
          const ledger = yield* Scope.provide(LedgerPostgres.make(quick), scope)
          const spend = (tenant: string, count: number) => {
            for (let i = 0; i < count; i++) assert.isTrue(ledger.append(entry(tenant, `${tenant}-${i}`)))
          }
          const booked = (tenant: string) => took(tenant).pipe(Effect.provideService(Ledger, ledger))

          // Stopped: a question fails in its time, and one that is given up holds nobody.
          yield* server.pause
          spend("stopped", 50)
          const late = yield* Effect.flip(ask(sql`SELECT 1`, 200))
          assert.strictEqual(late.reason._tag, "Timeout")
          assert.include(reports, "postgres: Timeout")
          const asking = yield* Effect.forkChild(transaction(sql`SELECT 1`), { startImmediately: true })
          const before = performance.now()
          yield* Fiber.interrupt(asking)
          assert.isBelow(performance.now() - before, 1_000)
          assert.strictEqual(ledger.pending(), 50)
          yield* server.resume
          yield* answers
          yield* until(Effect.sync(() => ledger.pending() === 0))
          assert.strictEqual(yield* booked("stopped"), 50)

          // Killed: refused at once, with a type.
          yield* server.kill
          spend("killed", 50)
          const gone = yield* Effect.flip(ask(sql`SELECT 1`))
          assert.strictEqual(gone.reason._tag, "Unavailable")
          const flushed = yield* Effect.flip(ledger.flush)
          assert.strictEqual(flushed.reason._tag, "Unavailable")
          assert.strictEqual(ledger.pending(), 50)
          yield* server.restart
          yield* answers
          yield* until(Effect.sync(() => ledger.pending() === 0))
          assert.strictEqual(yield* booked("killed"), 50)

          // Read-only, as a standby is.
          const setting = (value: string) =>
            ask(sql.unsafe(`ALTER SYSTEM SET default_transaction_read_only = ${value}`)).pipe(
              Effect.andThen(ask(sql`SELECT pg_reload_conf()`)),
              Effect.andThen(
                until(
                  Effect.map(
                    ask(sql`SHOW default_transaction_read_only`),
                    ([row]) => Object.values(row ?? {})[0] === value
                  )
                )
              )
            )
          yield* setting("on")
          const readOnly = yield* Effect.flip(ledger.write([entry("readonly", "r")]))
          assert.strictEqual(readOnly.reason._tag, "ReadOnly")
          assert.strictEqual(yield* booked("killed"), 50)
          spend("readonly", 50)
          assert.strictEqual((yield* Effect.flip(ledger.flush)).reason._tag, "ReadOnly")
          assert.strictEqual(
            (yield* Effect.flip(
              Migrate.migrate([...Migrations.all, { id: 99, name: "x", statements: ["CREATE TABLE x ()"] }])
            )).reason._tag,
            "ReadOnly"
          )
          yield* setting("off")
          yield* until(Effect.sync(() => ledger.pending() === 0))
          assert.strictEqual(yield* booked("readonly"), 50)

          // Full: what the server says when there is no room left, from a trigger.
          yield* ask(sql`CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN RAISE EXCEPTION ''no room for %'', NEW.tenant USING ERRCODE = ''disk_full''; END'`)
          yield* ask(sql`CREATE TRIGGER full_disk BEFORE INSERT ON ledger FOR EACH ROW EXECUTE FUNCTION no_room()`)
          const full = yield* Effect.flip(ledger.write([entry("full", "f")]))
          assert.strictEqual(full.reason._tag, "Full")
          assert.notInclude(full.message, "no room for")
          spend("full", 50)
          assert.strictEqual((yield* Effect.flip(ledger.flush)).reason._tag, "Full")
          assert.strictEqual(ledger.pending(), 50)

          // Closing: it waits for room, writes everything, and takes nothing more.
          const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
          assert.isFalse(ledger.append(entry("full", "too late")))
          yield* ask(sql`DROP TRIGGER full_disk ON ledger`)
          yield* Fiber.join(closing)
          assert.strictEqual(ledger.pending(), 0)
          assert.strictEqual(yield* booked("full"), 50)
        }).pipe(Effect.provide(Sql.at(server.url)))
      }),
    120_000
  )

  it.live(
    "closing while it is away ends in time and keeps count; a full queue says no; an entry at fault stands alone",
    () =>
      Effect.gen(function* () {
        const server = yield* startPostgres
        yield* Effect.gen(function* () {
          const { ask, sql } = yield* Postgres.Postgres
          yield* Migrate.migrate()
          yield* ask(sql`ALTER TABLE ledger ADD CHECK (outcome <> 'poison')`)
          const scope = yield* Scope.make()
          const ledger = yield* Scope.provide(LedgerPostgres.make({ ...quick, capacity: 30, closeMs: 300 }), scope)
          for (let i = 0; i < 30; i++) {
            assert.isTrue(ledger.append(entry("acme", `a${i}`, { outcome: i === 17 ? "poison" : "ok" })))
          }
          assert.isFalse(ledger.append(entry("acme", "one too many")))
          yield* ledger.flush
          assert.strictEqual((yield* ledger.sum(all("acme"))).entries, 29)
          yield* server.pause
          assert.isTrue(ledger.append(entry("acme", "lost")))
          const before = performance.now()
          yield* Scope.close(scope, Exit.void)
          assert.isBelow(performance.now() - before, 5_000)
          assert.strictEqual(ledger.pending(), 1)
          yield* server.resume
        }).pipe(Effect.provide(Sql.at(server.url)))
      }),
    60_000
  )

  it.live(
    "killed in the middle of a migration: nothing of the step is there, and the next run makes all of it",
    () =>
      Effect.gen(function* () {
        const server = yield* startPostgres
        const id = Migrations.all.length + 1
        const step = (statement: string) => [
          ...Migrations.all,
          { id, name: "long", statements: ["CREATE TABLE first_half ()", statement, "CREATE TABLE second_half ()"] }
        ]
        yield* Effect.gen(function* () {
          const { ask, sql } = yield* Postgres.Postgres
          const halves = Effect.map(
            ask(sql<{ name: string }>`SELECT relname AS name FROM pg_class WHERE relname LIKE '%_half' ORDER BY 1`),
            (rows) => rows.map(({ name }) => name)
          )
          const running = yield* Effect.forkChild(Effect.flip(Migrate.migrate(step("SELECT pg_sleep(600)"))))
          yield* until(
            Effect.map(
              ask(sql`SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query = 'SELECT pg_sleep(600)'`),
              (rows) => rows.length > 0
            )
          )
          yield* server.kill
          assert.strictEqual((yield* Fiber.join(running)).reason._tag, "Unavailable")
          yield* server.restart
          yield* answers
          assert.deepStrictEqual(yield* halves, [])
          yield* Migrate.verify
          assert.deepStrictEqual(yield* Migrate.migrate(step("SELECT 1")), [{ id, name: "long" }])
          assert.deepStrictEqual(yield* halves, ["first_half", "second_half"])
          assert.strictEqual((yield* Effect.flip(Migrate.verify)).reason._tag, "Schema")
        }).pipe(Effect.provide(Sql.at(server.url)))
      }),
    60_000
  )
})
