/**
 * Bring the database's schema to what this version needs, and tell whether it
 * is there.
 *
 * `ballast_migrations` says which steps have run. Each step and its row there
 * are one transaction, so none is ever half there; an advisory lock lets one
 * migrator at a time through, and the others find nothing left to do. A
 * database that is newer than this version, or whose steps are others than
 * ours, is left alone: `StoreError` with reason `Schema`.
 */
import { Effect } from "effect"
import { StoreError } from "../../domain/errors.ts"
import { Postgres } from "./client.ts"
import type { Migration } from "./migration.ts"
import * as Migrations from "./migrations/all.ts"

/** A row of `ballast_migrations`. */
export interface Applied {
  readonly id: number
  readonly name: string
}

/** Longest time of a step, in ms; waiting for another migrator counts. */
const stepMs = 600_000

/** Of the advisory locks of a database, ours: any number that nobody else uses, and one for each purpose. */
const lock = "SELECT pg_advisory_xact_lock(7021938, 1)"

const bad = (detail: string) => new StoreError({ store: "postgres", reason: { _tag: "Schema", detail } })

/** The first thing in which `applied` is not a beginning of `known`. */
const difference = (applied: ReadonlyArray<Applied>, known: ReadonlyArray<Migration>): StoreError | undefined => {
  const names = (list: ReadonlyArray<Applied>) => list.map(({ id, name }) => `${id} ${name}`)
  const ours = names(known)
  const theirs = names(applied)
  const at = theirs.findIndex((name, index) => name !== ours[index])
  if (at === -1) return undefined
  return at >= ours.length
    ? bad(`it has step '${theirs[at]}', which is newer than this version`)
    : bad(`it has step '${theirs[at]}' where this version has '${ours[at]}'`)
}

/** The steps that have run; none where there is no table of them. */
const appliedSteps = Effect.gen(function* () {
  const { sql } = yield* Postgres
  const found = yield* sql<{ found: boolean }>`SELECT to_regclass('ballast_migrations') IS NOT NULL AS found`
  if (found[0]?.found !== true) return []
  return yield* sql<Applied>`SELECT id, name FROM ballast_migrations ORDER BY id`
})

/** Run the next step, if there is one. */
const next = (known: ReadonlyArray<Migration>) =>
  Effect.gen(function* () {
    const { sql } = yield* Postgres
    yield* sql`SET LOCAL statement_timeout = 0`
    yield* sql.unsafe(lock)
    // A table that is busy for long makes us fail, not all who come after us wait.
    yield* sql`SET LOCAL lock_timeout = '30s'`
    const applied = yield* appliedSteps
    const wrong = difference(applied, known)
    if (wrong !== undefined) return yield* wrong
    const step = known[applied.length]
    if (step === undefined) return undefined
    yield* sql`CREATE TABLE IF NOT EXISTS ballast_migrations (
      id integer PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())`
    for (const statement of step.statements) yield* sql.unsafe(statement)
    yield* sql`INSERT INTO ballast_migrations (id, name) VALUES (${step.id}, ${step.name})`
    return { id: step.id, name: step.name }
  })

/**
 * Run all steps that have not run yet; those that did are returned. Twice, or
 * in many processes at once, is the same as once.
 */
export const migrate = (
  known: ReadonlyArray<Migration> = Migrations.all
): Effect.Effect<ReadonlyArray<Applied>, StoreError, Postgres> =>
  Effect.gen(function* () {
    const { transaction } = yield* Postgres
    const done: Array<Applied> = []
    for (;;) {
      const step = yield* transaction(next(known), stepMs)
      if (step === undefined) return done
      done.push(step)
    }
  })

/** Succeeds if the schema is what this version needs; changes nothing. */
export const verify: Effect.Effect<void, StoreError, Postgres> = Effect.gen(function* () {
  const { ask, sql } = yield* Postgres
  const applied = yield* ask(appliedSteps)
  const wrong = difference(applied, Migrations.all)
  if (wrong !== undefined) return yield* wrong
  const missing = Migrations.all[applied.length]
  if (missing !== undefined) return yield* bad(`step '${missing.id} ${missing.name}' has not run`)
  const gone = yield* ask(sql<{ name: string }>`
    SELECT name FROM unnest(${Migrations.relations}::text[]) AS name WHERE to_regclass(name) IS NULL`)
  if (gone.length > 0) return yield* bad(`'${gone.map(({ name }) => name).join("', '")}' is missing`)
})
