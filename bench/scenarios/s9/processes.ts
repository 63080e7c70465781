/** Child processes of the scenario: started, asked, signalled, and ended with the bench, however it ends. */
import { spawn } from "node:child_process"
import * as path from "node:path"
import { pathToFileURL } from "node:url"
import * as Asking from "../../child/asking.ts"
import { own, temporary } from "../../child/lifetime.ts"

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
  /** Longest wait for an answer; 30 s where nothing is said. */
  readonly askTimeoutMs?: number
}

const usualAskTimeoutMs = 30_000
/** For many processes that start at the same moment on few cores. */
export const fleetAskTimeoutMs = 180_000
const startTimeoutMs = 30_000
const inside = pathToFileURL(path.join(import.meta.dirname, "inside.ts")).href

export const start = ({
  args,
  askTimeoutMs = usualAskTimeoutMs,
  env,
  inside: preload = false,
  name
}: Spawn): Process => {
  // Compiled once for all of them: starting a server is most of the CPU that a seed costs.
  const codeCache = path.join(temporary(), "code")
  const child = spawn(process.execPath, [...(preload ? [`--import=${inside}`] : []), ...args], {
    env: { PATH: process.env["PATH"], NODE_ENV: "production", NODE_COMPILE_CACHE: codeCache, ...env },
    stdio: ["ignore", "pipe", "pipe", "ipc"]
  })
  own(child)
  const { ask, end: unanswered } = Asking.of(child, name, askTimeoutMs)
  let output = ""
  const looks = new Set<() => void>()
  let end: number | string | undefined
  const ended = new Promise<number | string>((resolve) => {
    const over = (how: number | string): void => {
      end ??= how
      unanswered(`ended with ${how}`)
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
