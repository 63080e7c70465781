/** Child processes of the bench: started where the placement says, asked, and ended with the bench. */
import { spawn } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Asking from "../child/asking.ts"
import { own, temporary } from "../child/lifetime.ts"
import type { Placement, Role } from "./placement.ts"

export interface Child {
  readonly name: string
  readonly pid: number
  readonly ask: <A>(op: string, input?: unknown) => Promise<A>
  /** How it ended; undefined while it runs. */
  readonly ended: () => string | undefined
  /** The errors it printed, or else the end of what it printed. */
  readonly log: () => string
  readonly kill: () => void
}

export interface Spawn {
  readonly name: string
  readonly role: Role
  /** Program and arguments; the program `node` means the Node that runs the bench. */
  readonly command: ReadonlyArray<string>
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
}

const ASK_TIMEOUT_MS = 120_000

/** The lines that name an error, or else the last ones. */
const tail = (file: string): string => {
  try {
    const lines = fs.readFileSync(file, "utf8").trim().split("\n")
    const errors = lines.filter((line) => /error/i.test(line) && !/^\s*(at|throw) /.test(line))
    return (errors.length > 0 ? errors : lines).slice(-4).join("\n").slice(-1200)
  } catch {
    return ""
  }
}

export const start = (placement: Placement, { command, cwd, env, name, role }: Spawn): Child => {
  const [program = "", ...args] = placement.pin(
    role,
    command.map((word, index) => (index === 0 && word === "node" ? process.execPath : word))
  )
  const file = path.join(temporary(), `${name}.log`)
  const log = fs.openSync(file, "a")
  const child = spawn(program, args, {
    cwd,
    env: { ...process.env, NODE_ENV: "production", ...env },
    stdio: ["ignore", log, log, "ipc"]
  })
  fs.closeSync(log)
  own(child)

  let ended: string | undefined
  const { ask, end } = Asking.of(child, name, ASK_TIMEOUT_MS)
  const over = (how: string): void => {
    ended ??= how
    end(how)
  }
  child.once("error", (error) => over(`did not start: ${error.message}`))
  child.once("exit", (code, signal) => over(`ended with ${signal ?? `code ${code}`}`))

  return {
    name,
    pid: child.pid ?? 0,
    ask,
    ended: () => ended,
    log: () => tail(file),
    kill: () => {
      child.kill("SIGKILL")
    }
  }
}
