/** `ballast serve` as a process of its own, as an operator starts it. */
import { spawn } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { Effect } from "effect"
import type { Scope } from "effect"
import type { BallastConfigInput } from "../../src/domain/config-file.ts"

export interface ChildServer {
  readonly process: ChildProcess
  /** `http://127.0.0.1:PORT` */
  readonly url: string
  readonly port: number
  readonly adminUrl: string
  /** From its start to the line that says where it listens, in ms. */
  readonly startedInMs: number
  /** Exit code (or the signal that ended it) and `performance.now()` of its end. */
  readonly exit: Effect.Effect<{ readonly code: number | string; readonly atMs: number }>
  /** All that it has written, to both streams. */
  readonly output: () => string
}

/** An empty folder that is gone with the scope. */
export const folder: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "ballast-child-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

/**
 * Start it in a folder of its own, with nothing in its environment but `env`
 * and free ports; killed with the scope. Without `config` there is no file.
 */
export const start = (
  options: { readonly config?: BallastConfigInput; readonly env?: Readonly<Record<string, string>> } = {}
): Effect.Effect<ChildServer, never, Scope.Scope> =>
  Effect.gen(function* () {
    const cwd = yield* folder
    if (options.config !== undefined) writeFileSync(join(cwd, "ballast.config.json"), JSON.stringify(options.config))
    const began = performance.now()
    const child = yield* Effect.acquireRelease(
      Effect.sync(() =>
        spawn(process.execPath, [resolve("src/programs/cli.ts"), "serve"], {
          cwd,
          env: { BALLAST_PORT: "0", BALLAST_ADMIN_PORT: "0", ...options.env }
        })
      ),
      (each) => Effect.sync(() => each.kill("SIGKILL"))
    )
    let output = ""
    let end: { readonly code: number | string; readonly atMs: number } | undefined
    child.on("exit", (code, signal) => {
      end = { code: code ?? signal ?? "?", atMs: performance.now() }
    })
    const exit = Effect.callback<NonNullable<typeof end>>((done) => {
      const look = () => {
        if (end !== undefined) done(Effect.succeed(end))
      }
      child.on("exit", look)
      look()
    })
    const { adminUrl, url } = yield* Effect.callback<{ readonly url: string; readonly adminUrl: string }>((done) => {
      const add = (piece: Buffer) => {
        output += piece.toString()
        const found = /listens on (\S+)[^]*?admin\s+(\S+)\/metrics/u.exec(output)
        if (found?.[1] !== undefined && found[2] !== undefined) {
          done(Effect.succeed({ url: found[1], adminUrl: found[2] }))
        }
      }
      child.stdout.on("data", add)
      child.stderr.on("data", add)
      child.on("exit", () => done(Effect.die(new Error(output))))
    })
    return {
      process: child,
      url,
      port: Number(new URL(url).port),
      adminUrl,
      startedInMs: performance.now() - began,
      exit,
      output: () => output
    }
  })
