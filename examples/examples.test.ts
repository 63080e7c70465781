/** The examples, run as a reader runs them, so that they stay true. */
import { execFile, spawn } from "node:child_process"
import { once } from "node:events"
import { resolve } from "node:path"
import { promisify } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { boot } from "../test/support/server.ts"
import * as Default from "../src/domain/config-default.ts"

const path = (name: string) => resolve(import.meta.dirname, name)
const execute = promisify(execFile)

const run = (name: string, env: Readonly<Record<string, string>> = {}) =>
  Effect.promise(() => execute(process.execPath, [path(name)], { env }))

/** A child process and its first line; it is gone with the scope. */
const start = (name: string, env: Readonly<Record<string, string>>) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const child = spawn(process.execPath, [path(name)], { env, stdio: ["ignore", "pipe", "inherit"] })
      const [line] = await once(child.stdout, "data")
      return { child, line: String(line) }
    }),
    ({ child }) => Effect.sync(() => child.kill("SIGKILL"))
  )

describe.concurrent("examples", { timeout: 60_000 }, () => {
  it.live("effect.ts prints a whole answer, a streamed one and a refusal", () =>
    Effect.gen(function* () {
      const { stderr, stdout } = yield* run("effect.ts")
      assert.match(
        stdout,
        /^whole: \w.+\ntokens: \d+, from sim\nstreamed: \w.+\nrefused: nobody serves 'no-such-model'\n$/
      )
      assert.strictEqual(stderr, "")
    })
  )

  it.live("openai-client.ts streams, embeds and is refused by a running server", () =>
    Effect.gen(function* () {
      const { models, providers } = Default
      const server = yield* boot({ config: { models: [...models], providers } })
      const { stdout } = yield* run("openai-client.ts", { BALLAST_URL: `${server.url}/v1` })
      assert.match(
        stdout,
        /^tokens: \d+\nstreamed: \w.+\nembedded: 2 vectors of \d+\nrefused: 404 model_not_found, request req_\w+\n$/
      )
    })
  )

  it.live("hono.ts streams an answer, refuses as typed, and stops on SIGTERM", () =>
    Effect.gen(function* () {
      const { child, line } = yield* start("hono.ts", { PORT: "0" })
      const url = `${/http:\S+/.exec(line)?.[0]}/chat`
      const ask = (message: string) =>
        Effect.promise(() => fetch(url, { method: "POST", body: JSON.stringify({ user: "ada", message }) }))
      const answer = yield* ask("Hello")
      assert.strictEqual(answer.status, 200)
      assert.match(yield* Effect.promise(() => answer.text()), /^\w.+\.?$/)
      // More than fits into the model's context.
      const refused = yield* ask("word ".repeat(200_000))
      assert.strictEqual(refused.status, 400)
      const { error } = (yield* Effect.promise(() => refused.json())) as { readonly error: { readonly code: string } }
      assert.strictEqual(error.code, "context_length_exceeded")
      child.kill("SIGTERM")
      const [code] = yield* Effect.promise(() => once(child, "exit"))
      assert.strictEqual(code, 0)
    })
  )
})
