/**
 * PGlite for tests. To make a database takes it seconds, to open one half a
 * second: an empty one is made once and copied for each test.
 */
import { cpSync, existsSync, mkdtempSync, renameSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { PGlite } from "@electric-sql/pglite"
import { Effect } from "effect"
import type { Scope } from "effect"

/** The empty one, for all runs of this version: named last, so that whoever sees it sees all of it. */
const template = join(tmpdir(), `ballast-pglite-0.5.14`)

const makeTemplate = async (): Promise<void> => {
  if (existsSync(template)) return
  const folder = mkdtempSync(`${template}-`)
  const db = await PGlite.create(join(folder, "data"))
  await db.close()
  try {
    renameSync(join(folder, "data"), template)
  } catch (cause) {
    // Another test was faster.
    if (!existsSync(template)) throw cause
  }
  rmSync(folder, { recursive: true, force: true })
}

/** A directory with an empty database, removed with the scope. */
export const directory: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.promise(async () => {
    await makeTemplate()
    const copy = mkdtempSync(join(tmpdir(), "ballast-test-pglite-"))
    cpSync(template, copy, { recursive: true })
    return copy
  }),
  (copy) => Effect.sync(() => rmSync(copy, { recursive: true, force: true }))
)
