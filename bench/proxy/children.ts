/** Starts child processes, talks to them, and ends every one of them when the bench ends, however it ends. */
import { spawn } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import type { Answer } from "./ipc.ts"
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

const running = new Set<ChildProcess>()
let directory: string | undefined

/** A folder for logs and generated files, removed at exit. */
export const temporary = (): string => {
  directory ??= fs.mkdtempSync(path.join(os.tmpdir(), "ballast-bench-"))
  return directory
}

/** Kills all children and removes the temporary folder; also runs at exit. */
export const endChildren = (): void => {
  for (const child of running) child.kill("SIGKILL")
  running.clear()
  if (directory !== undefined) fs.rmSync(directory, { recursive: true, force: true })
  directory = undefined
}

/** Ends the children with the bench, on Ctrl-C too, and the bench itself after `limitMs` whatever happens. */
export const bindToProcess = (limitMs: number): void => {
  process.once("exit", endChildren)
  process.once("SIGINT", () => process.exit(130))
  process.once("SIGTERM", () => process.exit(143))
  setTimeout(() => {
    process.stderr.write(`bench: not done after ${Math.round(limitMs / 60_000)} min, giving up\n`)
    process.exit(1)
  }, limitMs).unref()
}

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
  running.add(child)

  let ended: string | undefined
  let lastId = 0
  const waiting = new Map<number, (answer: Answer) => void>()
  const end = (how: string): void => {
    ended ??= how
    running.delete(child)
    for (const [id, settle] of waiting) settle({ id, error: `${name} ${how}` })
  }
  child.once("error", (error) => end(`did not start: ${error.message}`))
  child.once("exit", (code, signal) => end(`ended with ${signal ?? `code ${code}`}`))
  child.on("message", (message) => {
    const answer = message as Answer
    waiting.get(answer.id)?.(answer)
  })

  const ask = <A>(op: string, input?: unknown): Promise<A> =>
    new Promise<A>((resolve, reject) => {
      if (ended !== undefined) return reject(new Error(`${name} ${ended}`))
      const id = ++lastId
      const settle = ({ error, value }: Answer): void => {
        clearTimeout(timer)
        waiting.delete(id)
        if (error === undefined) resolve(value as A)
        else reject(new Error(error))
      }
      const timer = setTimeout(() => settle({ id, error: `${name} gave no answer to ${op}` }), ASK_TIMEOUT_MS)
      waiting.set(id, settle)
      child.send({ id, op, input }, (error) => {
        if (error !== null) settle({ id, error: error.message })
      })
    })

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
