/** Children and files of a bench that are gone when it ends, however it ends. */
import type { ChildProcess } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"

const running = new Set<ChildProcess>()
let directory: string | undefined

/** End `child` with the bench, unless it has ended by then. */
export const own = (child: ChildProcess): void => {
  running.add(child)
  const gone = () => void running.delete(child)
  child.once("error", gone)
  child.once("exit", gone)
}

/** A folder for logs and generated files. */
export const temporary = (): string => {
  directory ??= fs.mkdtempSync(path.join(os.tmpdir(), "ballast-bench-"))
  return directory
}

/** Kill all children that still run, and remove the folder; also runs at exit. */
export const endChildren = (): void => {
  for (const child of running) child.kill("SIGKILL")
  running.clear()
  if (directory !== undefined) fs.rmSync(directory, { recursive: true, force: true, maxRetries: 3 })
  directory = undefined
}

/** End the children with the bench, on Ctrl-C too, and the bench itself after `limitMs` whatever happens. */
export const bindToProcess = (limitMs: number): void => {
  process.once("exit", endChildren)
  process.once("SIGINT", () => process.exit(130))
  process.once("SIGTERM", () => process.exit(143))
  setTimeout(() => {
    process.stderr.write(`bench: not done after ${Math.round(limitMs / 60_000)} min, giving up\n`)
    process.exit(1)
  }, limitMs).unref()
}
