/**
 * The fleet's Postgres, as the other layers use it: every answer bounded in
 * time, every error typed, every trouble told to `StoreHealth`. A server, or
 * PGlite in this process behind the same driver.
 *
 * Connections are made when they are needed, so building the layer does not
 * wait for a server, and one that is away is used once it is back.
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import { Cause, Context, Effect, Layer } from "effect"
import type { Exit } from "effect"
import { Reactivity } from "effect/reactivity"
import { SqlClient } from "effect/sql"
import { isSqlError } from "effect/sql/SqlError"
import type { SqlError } from "effect/sql/SqlError"
import type { PostgresConfig } from "../../domain/config.ts"
import { StoreError } from "../../domain/errors.ts"
import { StoreHealth } from "../../services/store-health.ts"
import { Timers } from "../../services/timers.ts"
import * as Errors from "./errors.ts"
import * as Pglite from "./pglite.ts"

/** Longest wait for an answer where the caller names none, in ms: connecting, queueing for a connection and all. */
export const timeoutMs = 5_000

/** Longest wait for a connection to be made, in ms. */
const connectMs = 2_000

/**
 * Settings of every session of a server. Should this process be stopped in the
 * middle of a transaction, the server ends it, and gives back its locks.
 */
const session = {
  statement_timeout: "15s",
  idle_in_transaction_session_timeout: "15s",
  timezone: "UTC"
}

/**
 * Bounded access to the fleet's Postgres. Write statements with `sql` (or with
 * `SqlClient`, which is the same), and run them through `ask`.
 *
 * @example
 * const rows = yield* postgres.ask(postgres.sql<{ n: number }>`SELECT count(*)::int AS n FROM tenants`)
 */
export class Postgres extends Context.Service<
  Postgres,
  {
    readonly sql: PgClient.PgClient
    /**
     * Run something that asks Postgres: `Timeout` after `withinMs` ms (5,000
     * by default), `SqlError` as `StoreError`. On a timeout and on
     * interruption the caller goes on at once, and the statement is cancelled
     * behind its back.
     */
    readonly ask: <A, E, R>(
      self: Effect.Effect<A, E, R>,
      withinMs?: number
    ) => Effect.Effect<A, Exclude<E, SqlError> | StoreError, R>
    /** {@link ask} in one transaction; inside another one, in a savepoint of it. */
    readonly transaction: <A, E, R>(
      self: Effect.Effect<A, E, R>,
      withinMs?: number
    ) => Effect.Effect<A, Exclude<E, SqlError> | StoreError, R>
    /** False while Postgres is known to be down: do not wait for it. */
    readonly usable: () => boolean
    /**
     * Whether `sql.listen` may be used: it holds a connection for as long as it
     * lasts, and PGlite has but one. PGlite is one process's alone, so whatever
     * changes, changes here.
     */
    readonly canListen: boolean
  }
>()("ballast/layers/postgres/Postgres") {}

/** A client of `config`'s database. Closes with the scope. */
export const make = Effect.fnUntraced(function* (config: PostgresConfig) {
  const timers = yield* Timers
  const health = yield* StoreHealth
  const where: PgClient.PgPoolConfig =
    config.kind === "server"
      ? { url: config.url, maxConnections: config.maxConnections, startupParameters: session }
      : {
          stream: yield* Pglite.open(config.directory),
          database: "postgres",
          username: "postgres",
          maxConnections: 1,
          // It costs nothing to keep, and another one to open.
          idleTimeout: "1 day"
        }
  const sql = yield* PgClient.make({ applicationName: "ballast", connectTimeout: connectMs, ...where }).pipe(
    Effect.mapError((error) => Errors.errorOf(error, connectMs))
  )

  const ask: Postgres["Service"]["ask"] = <A, E, R>(self: Effect.Effect<A, E, R>, withinMs = timeoutMs) =>
    Effect.withFiber<A, Exclude<E, SqlError> | StoreError, R>((parent) =>
      Effect.callback((resume) => {
        // The parent fiber's context holds what `self` requires, an open transaction too: R is in the type of the result.
        const child = Effect.runForkWith(parent.context as Context.Context<R>)(self)
        const timer = timers.make(() => {
          health.failed("postgres", "Timeout")
          resume(Effect.fail(Errors.timedOut(withinMs)))
          child.interruptUnsafe()
        })
        timer.arm(timers.now() + withinMs)
        child.addObserver((exit) => {
          timer.disarm()
          resume(told(exit, withinMs))
        })
        // Not waited for: a server that hangs must not hold a caller who has left.
        return Effect.sync(() => {
          timer.disarm()
          child.interruptUnsafe()
        })
      })
    )

  /**
   * Tell health what came of a question, and type its error. Where a
   * transaction's connection is lost, its ROLLBACK fails too, and the driver
   * makes a defect of that: what it failed with first counts.
   */
  const told = <A, E>(exit: Exit.Exit<A, E>, withinMs: number): Effect.Effect<A, Exclude<E, SqlError> | StoreError> =>
    Effect.matchCauseEffect(exit, {
      onSuccess: (value) => {
        health.ok("postgres")
        return Effect.succeed(value)
      },
      onFailure: (cause) => {
        const { reasons } = cause
        const known = reasons.every((reason) => reason._tag !== "Die" || isSqlError(reason.defect))
        const first =
          reasons.find((reason) => reason._tag === "Fail") ?? reasons.find((reason) => reason._tag === "Die")
        return known && first?._tag === "Die" && isSqlError(first.defect)
          ? Effect.fail(typed(first.defect, withinMs))
          : known && first?._tag === "Fail"
            ? Effect.fail(typed(first.error, withinMs))
            : Effect.failCause(Cause.map(cause, (error) => typed(error, withinMs)))
      }
    })
  const typed = <E>(error: E, withinMs: number): Exclude<E, SqlError> | StoreError => {
    // What is no SqlError is the caller's own, and says nothing of the store.
    if (!isSqlError(error)) return error as Exclude<E, SqlError>
    const known = Errors.errorOf(error, withinMs)
    if (Errors.isDown(known)) health.failed("postgres", known.reason._tag)
    else health.ok("postgres")
    return known
  }

  const service = Postgres.of({
    sql,
    ask,
    transaction: (self, withinMs) => ask(sql.withTransaction(self), withinMs),
    usable: () => health.usable("postgres"),
    canListen: config.kind === "server"
  })
  return Context.make(Postgres, service).pipe(
    Context.add(PgClient.PgClient, sql),
    Context.add(SqlClient.SqlClient, sql)
  )
})

/**
 * {@link make} as a layer. With a server it does not fail: one that is away is
 * told to `StoreHealth`, and used once it is back. With PGlite it fails where
 * the directory cannot be opened.
 */
export const layer = (
  config: PostgresConfig
): Layer.Layer<Postgres | PgClient.PgClient | SqlClient.SqlClient, StoreError, StoreHealth | Timers> =>
  Layer.effectContext(make(config)).pipe(Layer.provide(Reactivity.layer))
