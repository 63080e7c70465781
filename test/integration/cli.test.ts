/** The command line through real child processes: exit codes, streams, signals. */
import { execFile, spawn } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { afterAll, assert, describe, it } from "vitest"

const cli = resolve("src/programs/cli.ts")
const folder = mkdtempSync(join(tmpdir(), "ballast-cli-"))
const running = new Set<ChildProcess>()
afterAll(() => {
  for (const child of running) child.kill("SIGKILL")
  rmSync(folder, { recursive: true })
})

const file = (name: string, content: unknown): string => {
  const path = join(folder, name)
  writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content))
  return path
}

interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

const ballast = (args: ReadonlyArray<string>, env: Record<string, string> = {}): Promise<Ended> =>
  new Promise((done) => {
    execFile(process.execPath, [cli, ...args], { cwd: folder, env }, (error, stdout, stderr) =>
      done({ code: error === null ? 0 : Number(error.code), stdout, stderr })
    )
  })

/** A command that goes on, once it has written `ready`, with everything it has written so far. */
const start = async (args: ReadonlyArray<string>, ready: RegExp, env: Record<string, string> = {}) => {
  const child = spawn(process.execPath, [cli, ...args], { cwd: folder, env })
  running.add(child)
  const ended = once(child, "exit").then(([code]) => {
    running.delete(child)
    return Number(code)
  })
  let text = ""
  const written = new Promise<string>((done, failed) => {
    const add = (piece: Buffer) => {
      text += piece.toString()
      if (ready.test(text)) done(text)
    }
    child.stdout.on("data", add)
    child.stderr.on("data", add)
    void ended.then((code) => failed(new Error(`exit ${code}: ${text}`)))
  })
  await written
  return { child, ended, text: () => text }
}

describe.concurrent("ballast", { timeout: 60_000 }, () => {
  it("--help names all commands", async () => {
    const { code, stdout } = await ballast(["--help"])
    assert.strictEqual(code, 0)
    for (const name of ["serve", "sim", "simulate", "config", "demo"])
      assert.match(stdout, new RegExp(`^  ${name} `, "m"))
    const sub = await ballast(["config", "--help"])
    for (const name of ["check", "print"]) assert.match(sub.stdout, new RegExp(`^  ${name} `, "m"))
  })

  it("--version is the package's", async () => {
    const { stdout } = await ballast(["--version"])
    assert.match(stdout, /\d+\.\d+\.\d+/)
  })

  it.each([
    [["srve"]],
    [["serve", "--prot", "1"]],
    [["serve", "--port", "x"]],
    [["serve", "--port", "65536"]],
    [["sim", "--port", "-1"]]
  ])("exits 2 for the mistaken command line %j", async (args) => {
    const { code, stderr } = await ballast(args)
    assert.strictEqual(code, 2)
    assert.include(stderr, "ERROR")
    assert.notInclude(stderr, "    at ")
  })
})

describe.concurrent("ballast config", { timeout: 60_000 }, () => {
  const key = {
    providers: { openai: { kind: "openai", apiKey: { env: "MY_KEY" } } },
    models: [{ alias: "m", candidates: ["openai/x"], price: { inputPerMillion: 1 } }]
  }

  it("check says what a good file holds", async () => {
    const path = file("good.json", key)
    const { code, stderr, stdout } = await ballast(["config", "check", path], { MY_KEY: "k" })
    assert.deepStrictEqual({ code, stderr }, { code: 0, stderr: "" })
    assert.include(stdout, "good.json is valid: 1 provider, 1 model, mode open")
  })

  it("check exits 2 and lists all problems of a bad one, without a stack trace", async () => {
    const path = file("bad.json", { ...key, server: { prot: 1, port: -1 } })
    const { code, stderr, stdout } = await ballast(["config", "check", path])
    assert.deepStrictEqual({ code, stdout }, { code: 2, stdout: "" })
    for (const part of ["3 problems", "server.prot", 'did you mean "port"?', "server.port", "MY_KEY is not set"]) {
      assert.include(stderr, part)
    }
    assert.notInclude(stderr, "    at ")
  })

  it("check names line and column of broken JSON", async () => {
    const { code, stderr } = await ballast(["config", "check", file("broken.json", '{\n "server": }')])
    assert.strictEqual(code, 2)
    assert.include(stderr, "line 2, column 12")
  })

  it("check --no-secrets needs no environment", async () => {
    const { code } = await ballast(["config", "check", "--no-secrets", file("secrets.json", key)])
    assert.strictEqual(code, 0)
    assert.strictEqual(
      (await ballast(["config", "check", resolve("ballast.config.example.json"), "--no-secrets"])).code,
      0
    )
  })

  it("print shows the effective configuration and no secret", async () => {
    const { code, stdout } = await ballast(["config", "print", "--config", file("print.json", key)], {
      MY_KEY: "sk-secret",
      BALLAST_PORT: "1234"
    })
    assert.strictEqual(code, 0)
    const printed = JSON.parse(stdout)
    assert.strictEqual(printed.server.port, 1234)
    assert.strictEqual(printed.providers.openai.apiKey, "<redacted:MY_KEY>")
    assert.strictEqual(printed.policies.rateLimits.global.requestsPerMinute, 5000)
    assert.notInclude(stdout, "sk-secret")
  })
})

describe.concurrent("ballast serve", { timeout: 60_000 }, () => {
  it.each(["SIGTERM", "SIGINT"] as const)("announces itself, answers, and exits 0 on %s", async (signal) => {
    const server = await start(["serve", "--port", "0"], /try .*\n/, { BALLAST_ADMIN_PORT: "0" })
    const base = /listens on (\S+)/.exec(server.text())?.[1]
    const models = await fetch(`${base}/v1/models`)
    assert.strictEqual(models.status, 200)
    assert.include(await models.text(), "gpt-4o-mini")
    server.child.kill(signal)
    assert.strictEqual(await server.ended, 0)
    assert.notInclude(server.text(), "    at ")
  })

  it("says in one line which port is taken and how to choose another", async () => {
    const other = createServer().listen(0, "127.0.0.1")
    await once(other, "listening")
    const address = other.address()
    const port = typeof address === "object" && address !== null ? address.port : 0
    const { code, stderr } = await ballast(["serve", "--port", String(port)], { BALLAST_ADMIN_PORT: "0" })
    other.close()
    assert.strictEqual(code, 1)
    assert.match(stderr, new RegExp(`^Port ${port} on 127\\.0\\.0\\.1 is in use\\. Choose another with --port.*\n$`))
  })

  it("refuses to be open to others, exit 2", async () => {
    const { code, stderr } = await ballast(["serve", "--host", "0.0.0.0"])
    assert.strictEqual(code, 2)
    assert.include(stderr, "server.host")
    assert.include(stderr, "(from --host)")
  })
})

describe.concurrent("ballast sim", { timeout: 60_000 }, () => {
  it("serves a simulated provider, and exits 0 on SIGTERM", async () => {
    const sim = await start(["sim", "--port", "0", "--seed", "7"], /http:\/\/\S+/)
    const base = /http:\/\/[\d.:]+/.exec(sim.text())?.[0]
    assert.strictEqual((await fetch(`${base}/v1/models`)).status, 200)
    sim.child.kill("SIGTERM")
    assert.strictEqual(await sim.ended, 0)
  })

  it("checks its options, exit 2", async () => {
    const { code, stderr } = await ballast(["sim", "--config", file("sim.json", { sed: 1 })])
    assert.strictEqual(code, 2)
    assert.include(stderr, 'did you mean "seed"?')
  })
})
