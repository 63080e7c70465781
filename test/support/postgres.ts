/**
 * PostgreSQL for tests: a fresh database on a shared server, and servers that
 * may be broken.
 *
 * The shared one is that of `DATABASE_URL`, else whatever listens on the
 * standard port and takes the role `postgres` without a password, else one that
 * is started, else one that is installed (Debian, root).
 */
import { spawnSync } from "node:child_process"
import { randomBytes } from "node:crypto"
import { chownSync, existsSync, readdirSync } from "node:fs"
import { join } from "node:path"
import * as PgClient from "@effect/sql-pg/PgClient"
import { Effect, Exit, Layer, Redacted } from "effect"
import type { Scope } from "effect"
import { SqlClient } from "effect/sql"
import * as Server from "./store-server.ts"
import type { StoreServer } from "./store-server.ts"

/** Where Debian keeps the programs of each version. */
const debian = "/usr/lib/postgresql"

/** The folder of `initdb` and `postgres`, newest version first; "" where they are in the `PATH`. */
const find = (): string | undefined => {
  const versions = existsSync(debian) ? readdirSync(debian).toSorted((a, b) => Number(b) - Number(a)) : []
  const folders = versions.map((version) => join(debian, version, "bin"))
  return folders.find((each) => existsSync(join(each, "initdb"))) ?? (Server.installed("initdb") ? "" : undefined)
}

const programs = (): string | undefined => {
  const found = find()
  if (found !== undefined) return found
  Server.install("postgresql")
  return find()
}

/** PostgreSQL refuses to run as root. */
const owner = (): { readonly uid: number; readonly gid: number } | undefined => {
  if (process.getuid?.() !== 0) return undefined
  const id = (flag: string) => Number(spawnSync("id", [flag, "postgres"], { encoding: "utf8" }).stdout)
  return { uid: id("-u"), gid: id("-g") }
}

/** A client of one connection at a time, for a test's own statements. */
export const client = (url: string): Effect.Effect<SqlClient.SqlClient, never, Scope.Scope> =>
  Layer.build(PgClient.layer({ url: Redacted.make(url), maxConnections: 1, connectTimeout: 5_000 })).pipe(
    Effect.flatMap((context) => Effect.provideContext(SqlClient.SqlClient, context)),
    Effect.orDie
  )

const answers = (url: string): Promise<boolean> =>
  Effect.runPromiseExit(
    Effect.scoped(Effect.flatMap(client(url), (sql) => sql`SELECT 1`.pipe(Effect.timeout(5_000))))
  ).then(Exit.isSuccess)

/** Make a cluster's files and say how to start it: bound to loopback, anybody is trusted. */
const specOf = async (bin: string, directory: string): Promise<Server.Spec> => {
  const who = owner()
  if (who !== undefined) chownSync(directory, who.uid, who.gid)
  const data = join(directory, "data")
  const as = { cwd: directory, env: { ...process.env, LC_ALL: "C" }, ...who }
  const made = spawnSync(
    join(bin, "initdb"),
    ["-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync", "--no-instructions"],
    { ...as, encoding: "utf8" }
  )
  if (made.status !== 0) throw new Error(`initdb failed: ${made.stderr}`)
  const port = await Server.freePort()
  const url = `postgres://postgres@127.0.0.1:${port}/postgres`
  const settings = [
    "listen_addresses=127.0.0.1",
    `unix_socket_directories=${directory}`,
    // What is committed survives the process; that it survives the machine no test needs to wait for.
    "fsync=off",
    "shared_buffers=16MB",
    "max_connections=200"
  ]
  return {
    url,
    port,
    command: join(bin, "postgres"),
    args: ["-D", data, "-p", String(port), ...settings.flatMap((each) => ["-c", each])],
    options: as,
    ready: () => answers(url)
  }
}

const shared = async (): Promise<string | undefined> => {
  const given = process.env["DATABASE_URL"]
  if (given !== undefined && given !== "") {
    if (!(await answers(given))) throw new Error("DATABASE_URL is set, but no PostgreSQL answers there.")
    return given
  }
  const standard = "postgres://postgres@127.0.0.1:5432/postgres"
  if ((await Server.listens(5_432)) && (await answers(standard))) return standard
  const bin = programs()
  if (bin === undefined) return undefined
  const directory = Server.folder("postgres")
  return Server.startForGood(await specOf(bin, directory), () => Server.remove(directory))
}

const sharedUrl = await shared()

/** Whether there is a PostgreSQL, decided once; for `describe.skipIf(!available)`. */
export const available: boolean = sharedUrl !== undefined || Server.missing("PostgreSQL", "no DATABASE_URL, no initdb")

/** Whether tests can start servers of their own. False only where PostgreSQL is somewhere else, and cannot be installed here. */
export const breakable: boolean =
  available && (programs() !== undefined || Server.missing("initdb", "it cannot be installed here"))

/** A fresh, empty database, dropped with the scope, whoever is still connected to it. */
export const database: Effect.Effect<{ readonly url: string }, never, Scope.Scope> = Effect.suspend(() => {
  if (sharedUrl === undefined) return Effect.die("no PostgreSQL: ask `available` first")
  const base = sharedUrl
  const name = `test_${randomBytes(6).toString("hex")}`
  // Nobody is ever connected to template0, which would forbid to copy it.
  const statement = (text: string) =>
    Effect.orDie(Effect.scoped(Effect.flatMap(client(base), (sql) => sql.unsafe(text))))
  const url = new URL(base)
  url.pathname = `/${name}`
  return Effect.acquireRelease(
    Effect.as(statement(`CREATE DATABASE ${name} TEMPLATE template0`), { url: url.toString() }),
    () => statement(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`)
  )
})

/** A server of one's own, to be broken. What was committed survives `kill` and `restart`. */
export const startPostgres: Effect.Effect<StoreServer, never, Scope.Scope> = Effect.suspend(() => {
  const bin = programs()
  if (bin === undefined) return Effect.die("no initdb: ask `breakable` first")
  const directory = Server.folder("postgres")
  return Effect.flatMap(
    Effect.promise(() => specOf(bin, directory)),
    (spec) => Server.start(spec, () => Server.remove(directory))
  )
})
