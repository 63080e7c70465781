/**
 * What Postgres and its driver say when they say no, as reasons of
 * `StoreError`. The SQLSTATE decides (PostgreSQL's manual, appendix A), and
 * nothing but it and a constraint's name is passed on: messages quote values.
 */
import type { SqlError } from "effect/sql/SqlError"
import { StoreError } from "../../domain/errors.ts"

type Reason = StoreError["reason"]

/** Classes and codes by what they mean to us; the longest prefix that fits counts. */
const meanings: ReadonlyArray<
  readonly [prefix: string, tag: Exclude<Reason["_tag"], "Timeout" | "Script" | "NotFound">]
> = [
  // connections, shutdowns, crashes, internal errors, passwords, rights: nothing is wrong with the question
  ["08", "Unavailable"],
  ["28", "Unavailable"],
  ["3D000", "Unavailable"],
  ["42501", "Unavailable"],
  ["53300", "Unavailable"],
  ["57", "Unavailable"],
  ["58", "Unavailable"],
  ["F0", "Unavailable"],
  ["XX", "Unavailable"],
  // standing by, or told to write nothing
  ["25006", "ReadOnly"],
  // disk, memory, configured limits
  ["53", "Full"],
  // tables, columns, functions, types, schemas that are not there, or there already
  ["42P01", "Schema"],
  ["42P06", "Schema"],
  ["42P07", "Schema"],
  ["42701", "Schema"],
  ["42710", "Schema"],
  ["42723", "Schema"],
  ["42P02", "Schema"],
  ["42703", "Schema"],
  ["42704", "Schema"],
  ["42883", "Schema"],
  ["3F000", "Schema"],
  // somebody was faster: the same question may succeed next time
  ["23505", "Conflict"],
  ["40", "Conflict"]
]

/** Canceled by `statement_timeout` or by us, a lock not had in time, a transaction left idle. */
const late = new Set(["57014", "55P03", "25P03", "25P04"])

const field = (value: unknown, name: string): string | undefined => {
  if (typeof value !== "object" || value === null || !(name in value)) return undefined
  // Asked for just above.
  const found = (value as Record<string, unknown>)[name]
  return typeof found === "string" ? found : undefined
}

/** The SQLSTATE of an error that the server sent. */
export const sqlStateOf = (error: SqlError): string | undefined => {
  const code = field(error.reason.cause, "code")
  return code !== undefined && /^[0-9A-Z]{5}$/u.test(code) && field(error.reason.cause, "severity") !== undefined
    ? code
    : undefined
}

/** The reason of an error of the driver. `afterMs`: how long it was waited for. */
export const reasonOf = (error: SqlError, afterMs: number): Reason => {
  const code = sqlStateOf(error)
  if (code === undefined) return withoutState(error)
  if (late.has(code)) return { _tag: "Timeout", afterMs }
  const constraint = field(error.reason.cause, "constraint")
  const detail = constraint === undefined ? `SQLSTATE ${code}` : `SQLSTATE ${code} (${constraint})`
  const known = meanings.reduce<(typeof meanings)[number] | undefined>(
    (best, next) => (code.startsWith(next[0]) && next[0].length > (best?.[0].length ?? 0) ? next : best),
    undefined
  )
  return { _tag: known?.[1] ?? "Invalid", detail }
}

/** Errors that the server did not send: of the socket, of the driver, of encoding. */
const withoutState = (error: SqlError): Reason => {
  const { reason } = error
  if (reason._tag === "ConnectionError" || reason._tag === "AuthenticationError") {
    const code = field(reason.cause, "code")
    return { _tag: "Unavailable", detail: code !== undefined && /^E[A-Z]+$/u.test(code) ? code : "no connection" }
  }
  if (reason._tag === "UnknownError" && reason.operation === "commit") {
    return { _tag: "Conflict", detail: "the transaction was rolled back" }
  }
  return { _tag: "Invalid", detail: "a value cannot be sent or read" }
}

/** The error of a question that failed so. */
export const errorOf = (error: SqlError, afterMs: number): StoreError =>
  new StoreError({ store: "postgres", reason: reasonOf(error, afterMs) })

/** The error of a question that was not answered in time. */
export const timedOut = (afterMs: number): StoreError =>
  new StoreError({ store: "postgres", reason: { _tag: "Timeout", afterMs } })

/** Whether the store itself is down. One that takes no writes still answers questions, so that does not count. */
export const isDown = ({ reason }: StoreError): boolean => reason._tag === "Unavailable" || reason._tag === "Timeout"

/** Whether the same question may succeed later, with nothing changed but the store. */
export const isPassing = (error: StoreError): boolean =>
  isDown(error) ||
  error.reason._tag === "ReadOnly" ||
  error.reason._tag === "Full" ||
  error.reason._tag === "Schema" ||
  error.reason._tag === "Conflict"
