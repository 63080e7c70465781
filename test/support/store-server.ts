/**
 * A store's server as a child process that a test may break: pause, resume,
 * kill, start again on the same port. What is left when this process ends is
 * killed with it.
 */
import { spawn, spawnSync } from "node:child_process"
import type { ChildProcess, SpawnOptions } from "node:child_process"
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs"
import { connect, createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect } from "effect"
import type { Scope } from "effect"

/** A running server of one's own. */
export interface StoreServer {
  readonly url: string
  readonly port: number
  /** SIGSTOP: connections stay open, nothing answers. */
  readonly pause: Effect.Effect<void>
  /** SIGCONT. */
  readonly resume: Effect.Effect<void>
  /** SIGKILL, and wait for its end. */
  readonly kill: Effect.Effect<void>
  /** Kill it if it runs, and start it again on the same port with what it has kept. */
  readonly restart: Effect.Effect<void>
}

/** How a server is started and when it may be used. */
export interface Spec {
  readonly url: string
  readonly port: number
  readonly command: string
  readonly args: ReadonlyArray<string>
  readonly options?: SpawnOptions
  /** Resolves to true once the server answers. */
  readonly ready: () => Promise<boolean>
}

/** A port of loopback that nothing listens on at the moment. */
export const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer()
    server.on("error", reject)
    server.listen(0, "127.0.0.1", () => {
      const address = server.address()
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0))
    })
  })

/** Whether something listens there. */
export const listens = (port: number, host = "127.0.0.1"): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect({ host, port })
    const end = (answer: boolean) => {
      socket.destroy()
      resolve(answer)
    }
    socket.setTimeout(2_000, () => end(false))
    socket.on("connect", () => end(true))
    socket.on("error", () => end(false))
  })

/** A new folder under the system's temporary one. */
export const folder = (name: string): string => mkdtempSync(join(tmpdir(), `ballast-${name}-`))

/** Whether a program can be started. */
export const installed = (command: string): boolean =>
  spawnSync(command, ["--version"], { stdio: "ignore" }).status === 0

/** Install Debian packages, when root. Waits for another installation that runs. */
export const install = (...packages: ReadonlyArray<string>): void => {
  if (process.getuid?.() !== 0 || !installed("apt-get")) return
  const apt = (...args: ReadonlyArray<string>) =>
    spawnSync("apt-get", ["-o", "DPkg::Lock::Timeout=300", ...args], {
      stdio: "ignore",
      env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" }
    })
  apt("update", "-qq")
  apt("install", "-y", "-qq", "--no-install-recommends", ...packages)
}

/** No store: with `CI=true` a failure, without it said aloud, and the suites that need it are skipped. */
export const missing = (what: string, why: string): false => {
  const text = `${what} is missing (${why}): the suites that need it`
  if (process.env["CI"] === "true") throw new Error(`${text} cannot run, and CI=true allows no skip.`)
  process.stderr.write(`\n*** ${text} are SKIPPED. ***\n\n`)
  return false
}

/** Processes and folders that must not outlive this process. */
const leftovers = new Set<() => void>()
process.on("exit", () => {
  for (const end of leftovers) end()
})

/** Processes that `parent` has started, from `/proc`: a paused parent alone would leave them at work. */
const childrenOf = (parent: number): ReadonlyArray<number> => {
  const found: Array<number> = []
  for (const name of readdirSync("/proc")) {
    const pid = Number(name)
    if (!Number.isInteger(pid)) continue
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, "utf8")
      if (Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]) === parent) found.push(pid)
    } catch {
      // It has ended meanwhile.
    }
  }
  return found
}

const signal = (child: ChildProcess, name: NodeJS.Signals): void => {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  for (const pid of [child.pid, ...childrenOf(child.pid)]) {
    try {
      process.kill(pid, name)
    } catch {
      // It has ended meanwhile.
    }
  }
}

const ended = (child: ChildProcess): Promise<void> =>
  new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) resolve()
    else child.once("exit", () => resolve())
  })

/** Longest that a server may take to start, in ms. */
const startMs = 20_000

/** Start it; rejects with what it wrote if it ends instead. */
const launch = async (spec: Spec): Promise<ChildProcess> => {
  const child = spawn(spec.command, [...spec.args], { stdio: ["ignore", "pipe", "pipe"], ...spec.options })
  const end = () => signal(child, "SIGKILL")
  leftovers.add(end)
  child.once("exit", () => leftovers.delete(end))
  let output = ""
  const add = (piece: Buffer) => {
    output = (output + piece.toString()).slice(-4_000)
  }
  child.stdout?.on("data", add)
  child.stderr?.on("data", add)
  let failed: Error | undefined
  child.once("error", (error) => {
    failed = error
  })
  const until = performance.now() + startMs
  for (;;) {
    if (failed !== undefined || child.exitCode !== null || performance.now() > until) {
      end()
      throw new Error(`${spec.command} did not start: ${failed?.message ?? output}`)
    }
    if ((await listens(spec.port)) && (await spec.ready())) return child
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

/** Start a server; it is killed, and `cleanUp` is called, when the scope closes. */
export const start = (spec: Spec, cleanUp: () => void): Effect.Effect<StoreServer, never, Scope.Scope> =>
  Effect.gen(function* () {
    let child = yield* Effect.promise(() => launch(spec))
    const kill = Effect.promise(async () => {
      // A stopped process ends by SIGKILL too.
      signal(child, "SIGKILL")
      await ended(child)
    })
    yield* Effect.addFinalizer(() => Effect.andThen(kill, Effect.sync(cleanUp)))
    return {
      url: spec.url,
      port: spec.port,
      pause: Effect.sync(() => signal(child, "SIGSTOP")),
      resume: Effect.sync(() => signal(child, "SIGCONT")),
      kill,
      restart: Effect.andThen(
        kill,
        Effect.promise(async () => {
          child = await launch(spec)
        })
      )
    }
  })

/** Start a server for the rest of this process's life. */
export const startForGood = async (spec: Spec, cleanUp: () => void): Promise<string> => {
  const child = await launch(spec)
  child.unref()
  for (const stream of [child.stdout, child.stderr]) stream?.destroy()
  leftovers.add(cleanUp)
  return spec.url
}

/** Delete a folder and all in it. */
export const remove = (path: string): void => rmSync(path, { recursive: true, force: true })
