/**
 * What is published: packed, installed into a fresh project beside nothing but
 * its own dependencies, imported by every public path, type-checked and run.
 */
import { execFile } from "node:child_process"
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { delimiter, dirname, join, resolve } from "node:path"
import { afterAll, assert, beforeAll, describe, it } from "vitest"

const root = resolve(import.meta.dirname, "../..")
const manifest: {
  readonly version: string
  readonly dependencies: Readonly<Record<string, string>>
} = JSON.parse(readFileSync(join(root, "package.json"), "utf8"))

const folder = mkdtempSync(join(tmpdir(), "ballast-package-"))
const project = join(folder, "project")
const installed = join(project, "node_modules", "ballast")
afterAll(() => rmSync(folder, { recursive: true, force: true }))

interface Ended {
  readonly code: number | string
  readonly stdout: string
  readonly stderr: string
}

/** Run a command to its end, with the Node that runs this test. */
const run = (command: string, args: ReadonlyArray<string>, cwd: string = project): Promise<Ended> =>
  new Promise((done) => {
    // No settings of Ballast's own, and not the place of the npm run that this test may be a part of.
    const env = Object.fromEntries(
      Object.entries(process.env).filter(
        ([name]) => !/^(BALLAST_|npm_(package|lifecycle|command|config_(local_)?prefix))/u.test(name)
      )
    )
    env["PATH"] = [dirname(process.execPath), process.env["PATH"]].join(delimiter)
    const options = { cwd, env, maxBuffer: 16_000_000 }
    execFile(command, args, options, (error, stdout, stderr) =>
      done({ code: error === null ? 0 : (error.code ?? "?"), stdout, stderr })
    )
  })

const npx = (...args: ReadonlyArray<string>) => run("npx", ["--no-install", "ballast", ...args])

const succeeded = ({ code, stderr, stdout }: Ended): string => {
  assert.strictEqual(code, 0, `${stdout}\n${stderr}`)
  return stdout
}

/** What npm says when it is the network that is missing, and not a package. */
const offline =
  /\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|ENOTCACHED|E5\d\d|ERR_SOCKET_TIMEOUT)\b/u

/** The package by hand, its dependencies from this repository: what `npm install` would have made, as near as possible. */
const link = async (tarball: string): Promise<void> => {
  const modules = join(project, "node_modules")
  mkdirSync(join(modules, ".bin"), { recursive: true })
  succeeded(await run("tar", ["-xzf", tarball, "-C", folder]))
  succeeded(await run("mv", [join(folder, "package"), installed]))
  for (const name of [...Object.keys(manifest.dependencies), "@types/node"]) {
    mkdirSync(dirname(join(modules, name)), { recursive: true })
    symlinkSync(join(root, "node_modules", name), join(modules, name), "dir")
  }
  symlinkSync("../ballast/dist/programs/cli.js", join(modules, ".bin", "ballast"))
  succeeded(await run("chmod", ["+x", join(installed, "dist/programs/cli.js")]))
}

beforeAll(async () => {
  mkdirSync(project)
  writeFileSync(join(project, "package.json"), JSON.stringify({ name: "fresh", private: true, type: "module" }))
  succeeded(await run("npm", ["pack", "--pack-destination", folder], root))
  const tarball = join(folder, `ballast-${manifest.version}.tgz`)
  assert.isTrue(existsSync(tarball))
  const flags = ["--prefer-offline", "--no-audit", "--no-fund", "--fetch-retries=1", "--fetch-timeout=15000"]
  const install = await run("npm", ["install", tarball, ...flags])
  if (install.code === 0) return
  const reason = offline.exec(install.stderr)?.[0]
  if (reason === undefined) assert.fail(install.stderr)
  // Whoever reads the log must know that npm's own installation was not tested.
  console.warn(`package.test: the npm registry cannot be reached (${reason}); dependencies are linked instead`)
  await link(tarball)
}, 180_000)

/** All files below a folder, as paths relative to it. */
const filesOf = (path: string): ReadonlyArray<string> =>
  readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((each) => each.isFile())
    .map((each) => join(each.parentPath, each.name).slice(path.length + 1))
    .toSorted()

const file = (name: string, text: string): string => {
  writeFileSync(join(project, name), text)
  return name
}

describe("the package", { timeout: 60_000 }, () => {
  it("holds the build of every source, and nothing else", () => {
    const built = (suffix: string) =>
      filesOf(join(installed, "dist")).flatMap((name) => (name.endsWith(suffix) ? [name.slice(0, -suffix.length)] : []))
    const sources = filesOf(join(root, "src")).map((name) => name.replace(/\.ts$/u, ""))
    assert.deepStrictEqual(built(".js"), sources, "dist/ has files of sources that are gone: remove it")
    assert.deepStrictEqual(built(".d.ts"), sources)
    const rest = filesOf(installed).filter(
      (name) => !/^(dist|src|schema|examples\/scenarios|node_modules)\//u.test(name)
    )
    assert.includeMembers(rest, ["CHANGELOG.md", "LICENSE", "package.json"])
    for (const name of rest) assert.match(name, /^(package\.json|[A-Z]+(\.md)?)$/u)
  })

  it("can be imported by every public path, with no development dependency there", async () => {
    for (const name of ["openai", "vitest", "typescript"])
      assert.isFalse(existsSync(join(project, "node_modules", name)))
    const paths = filesOf(join(installed, "dist")).flatMap((name) =>
      // The command line is no library: importing it would run it.
      /^(domain|services|layers|programs)\/.*\.js$/u.test(name) && name !== "programs/cli.js"
        ? [`ballast/${name.slice(0, -3)}`]
        : []
    )
    assert.includeMembers(paths, ["ballast/services/rate-limiter", "ballast/layers/rate-limiter/memory"])
    file(
      "all.mjs",
      `const failed = []
      for (const path of ["ballast", ...${JSON.stringify(paths)}]) {
        try { await import(path) } catch (error) { failed.push(path + ": " + error) }
      }
      console.log(JSON.stringify(failed))
      process.exit()`
    )
    assert.deepStrictEqual(JSON.parse(succeeded(await run(process.execPath, ["all.mjs"]))), [])
  })

  it("answers a chat in process, with a layer swapped", async () => {
    file(
      "chat.mjs",
      `import { Effect, Layer } from "effect"
      import { Ballast, Caller, collect, complete, Config, CurrentCaller, Server } from "ballast"
      import { RateLimiter } from "ballast/services/rate-limiter"
      import * as RateLimiterMemory from "ballast/layers/rate-limiter/memory"
      import schema from "ballast/schema/ballast.config.json" with { type: "json" }

      const limits = { user: { requestsPerMinute: 7 }, ip: {}, tenant: {}, global: {}, premiumFactor: 2 }
      const ballast = Ballast.layer(Config.defaultConfig)
      const layer = Layer.merge(ballast, Layer.provide(RateLimiterMemory.layer(limits), ballast))
      const caller = Caller.make("acme", { user: "ada" })
      const request = { model: "gpt-4o-mini", messages: [{ role: "user", content: "Hello" }], max_tokens: 8 }
      const chat = Effect.scoped(Effect.flatMap(complete(request), collect))
      const left = Effect.scoped(Effect.flatMap(RateLimiter, (limiter) => limiter.reserve(caller, 0)))
      const { answer, states } = await Effect.runPromise(
        Effect.all({ answer: chat, states: Effect.map(left, ({ states }) => states) }).pipe(
          Effect.provideService(CurrentCaller, caller),
          Effect.provide(layer)
        )
      )
      console.log(JSON.stringify({ answer, states, title: schema.title, server: typeof Server.serve }))`
    )
    const { answer, server, states, title } = JSON.parse(succeeded(await run(process.execPath, ["chat.mjs"])))
    assert.strictEqual(answer.object, "chat.completion")
    assert.isAbove(answer.choices[0].message.content.length, 0)
    assert.strictEqual(answer.usage.completion_tokens, 8)
    assert.strictEqual(states[0].limit, 7)
    assert.strictEqual(Math.round(states[0].remaining), 5)
    assert.strictEqual(title, "Ballast configuration")
    assert.strictEqual(server, "function")
  })

  it("has types that hold", async () => {
    file(
      "typed.ts",
      `import { Effect, Layer } from "effect"
      import { Ballast, Caller, collect, complete, Config, CurrentCaller } from "ballast"
      import type { ChatCompletion, ChatRequest, CompleteError, ResolvedConfig } from "ballast"
      import * as Policy from "ballast/domain/policy"
      import * as RateLimiterMemory from "ballast/layers/rate-limiter/memory"
      import { RateLimiter } from "ballast/services/rate-limiter"
      import schema from "ballast/schema/ballast.config.json" with { type: "json" }

      export const config: ResolvedConfig = Config.defaultConfig
      export const title: string = schema.title
      const request: ChatRequest = { model: "m", messages: [{ role: "user", content: "Hello" }] }
      const chat = Effect.scoped(Effect.flatMap(complete(request), collect))
      const swapped = Layer.provideMerge(RateLimiterMemory.layer(Policy.defaults.rateLimits), Ballast.layer(config))
      export const program: Effect.Effect<ChatCompletion, CompleteError> = chat.pipe(
        Effect.provideService(CurrentCaller, Caller.make("acme")),
        Effect.provide(swapped)
      )
      export const limiter: Effect.Effect<RateLimiter["Service"], never, RateLimiter> = RateLimiter
      // @ts-expect-error: a model is text; were it any, this would pass
      void complete({ ...request, model: 1 })
      // @ts-expect-error: without the layer something is missing
      export const bare: Effect.Effect<ChatCompletion, CompleteError> = chat
      // @ts-expect-error: there is no such thing
      export type { Nothing } from "ballast/services/rate-limiter"
      `
    )
    file(
      "tsconfig.json",
      JSON.stringify({
        compilerOptions: {
          module: "NodeNext",
          target: "ES2023",
          lib: ["ES2024", "ESNext.Disposable"],
          types: ["node"],
          strict: true,
          exactOptionalPropertyTypes: true,
          noEmit: true,
          resolveJsonModule: true,
          // Not skipped, so that the declarations of the package itself are checked.
          skipLibCheck: false
        },
        files: ["typed.ts"]
      })
    )
    const { stdout } = await run(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-p", "."])
    // Declarations of other packages are not ours to repair.
    const errors = stdout
      .split("\n")
      .filter((line) => line.includes("error TS"))
      .filter((line) => !line.includes("node_modules/") || line.includes("node_modules/ballast/"))
    assert.deepStrictEqual(errors, [])
  })

  it("brings the command", async () => {
    assert.strictEqual(succeeded(await npx("--version")).trim(), `ballast v${manifest.version}`)
    assert.match(succeeded(await npx("config", "check")), /valid/u)
    file("broken.json", JSON.stringify({ server: { prot: 1 } }))
    const broken = await npx("config", "check", "broken.json")
    assert.strictEqual(broken.code, 2)
    assert.include(broken.stderr, "server.prot")
    // The demonstration alone wants more, and says what.
    const demo = await npx("demo")
    assert.notStrictEqual(demo.code, 0)
    assert.include(demo.stdout + demo.stderr, "npm install openai p-retry")
  })
})
