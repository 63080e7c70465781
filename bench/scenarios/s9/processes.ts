/** Child processes of the scenario: started, asked, signalled, and ended with the bench, however it ends. */
import { spawn } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { pathToFileURL } from "node:url"
import type { Answer } from "../../proxy/ipc.ts"

export interface Process {
  readonly pid: number
  readonly ask: <A>(op: string, input?: unknown) => Promise<A>
  readonly signal: (signal: NodeJS.Signals) => void
  /** Its exit code, or the signal that ended it. */
  readonly ended: Promise<number | string>
  /** All that it printed. */
  readonly output: () => string
  /** Until what it printed matches; rejects when it ends first. */
  readonly printed: (pattern: RegExp) => Promise<RegExpExecArray>
  readonly kill: () => Promise<void>
}

export interface Spawn {
  readonly name: string
  /** File to run and its arguments. */
  readonly args: ReadonlyArray<string>
  readonly env?: Readonly<Record<string, string>>
  /** Preload what answers the bench's questions; for servers under test. */
  readonly inside?: boolean
}

const askTimeoutMs = 30_000
const startTimeoutMs = 30_000
const inside = pathToFileURL(path.join(import.meta.dirname, "inside.ts")).href

const running = new Set<ChildProcess>()

let directory: string | undefined

/** A folder that is gone with the children. */
export const temporary = (): string => {
  directory ??= fs.mkdtempSync(path.join(os.tmpdir(), "ballast-s9-"))
  return directory
}

/** Kill all children that still run, and remove their folder. */
export const killAll = (): void => {
  for (const child of running) child.kill("SIGKILL")
  running.clear()
  if (directory !== undefined) fs.rmSync(directory, { recursive: true, force: true, maxRetries: 3 })
  directory = undefined
}

/** End the children with the bench, on Ctrl-C too, and the bench itself after `limitMs` whatever happens. */
export const bindToBench = (limitMs: number): void => {
  process.once("exit", killAll)
  process.once("SIGINT", () => process.exit(130))
  process.once("SIGTERM", () => process.exit(143))
  setTimeout(() => {
    process.stderr.write(`S9: not done after ${Math.round(limitMs / 60_000)} min, giving up\n`)
    process.exit(1)
  }, limitMs).unref()
}

export const start = ({ args, env, inside: preload = false, name }: Spawn): Process => {
  // Compiled once for all of them: starting a server is most of the CPU that a seed costs.
  const codeCache = path.join(temporary(), "code")
  const child = spawn(process.execPath, [...(preload ? [`--import=${inside}`] : []), ...args], {
    env: { PATH: process.env["PATH"], NODE_ENV: "production", NODE_COMPILE_CACHE: codeCache, ...env },
    stdio: ["ignore", "pipe", "pipe", "ipc"]
  })
  running.add(child)
  let output = ""
  let lastId = 0
  const waiting = new Map<number, (answer: Answer) => void>()
  const looks = new Set<() => void>()
  let end: number | string | undefined
  const ended = new Promise<number | string>((resolve) => {
    const over = (how: number | string): void => {
      end ??= how
      running.delete(child)
      for (const [id, settle] of waiting) settle({ id, error: `${name} ended with ${how}` })
      for (const look of looks) look()
      resolve(end)
    }
    child.once("error", (error) => over(`did not start: ${error.message}`))
    child.once("exit", (code, signal) => over(code ?? signal ?? "?"))
  })
  const add = (piece: Buffer): void => {
    output += piece.toString()
    for (const look of looks) look()
  }
  child.stdout?.on("data", add)
  child.stderr?.on("data", add)
  child.on("message", (message) => {
    const answer = message as Answer
    waiting.get(answer.id)?.(answer)
  })

  const ask = <A>(op: string, input?: unknown): Promise<A> =>
    new Promise<A>((resolve, reject) => {
      if (end !== undefined) return reject(new Error(`${name} ended with ${end}`))
      const id = ++lastId
      const settle = ({ error, value }: Answer): void => {
        clearTimeout(timer)
        waiting.delete(id)
        if (error === undefined) resolve(value as A)
        else reject(new Error(error))
      }
      const timer = setTimeout(() => settle({ id, error: `${name} gave no answer to ${op}` }), askTimeoutMs)
      waiting.set(id, settle)
      child.send({ id, op, input }, (error) => {
        if (error !== null) settle({ id, error: error.message })
      })
    })

  const printed = (pattern: RegExp): Promise<RegExpExecArray> =>
    new Promise((resolve, reject) => {
      const stop = (): void => {
        clearTimeout(timer)
        looks.delete(look)
      }
      const look = (): void => {
        const found = pattern.exec(output)
        if (found !== null) {
          stop()
          resolve(found)
        } else if (end !== undefined) {
          stop()
          reject(new Error(`${name} ended with ${end}\n${output.slice(-1_200)}`))
        }
      }
      const timer = setTimeout(() => {
        stop()
        reject(new Error(`${name} did not print ${String(pattern)}\n${output.slice(-1_200)}`))
      }, startTimeoutMs)
      looks.add(look)
      look()
    })

  return {
    pid: child.pid ?? 0,
    ask,
    signal: (signal) => void child.kill(signal),
    ended,
    output: () => output,
    printed,
    kill: async () => {
      child.kill("SIGKILL")
      await ended
    }
  }
}
