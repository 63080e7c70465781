/** `ballast simulate` through real child processes, and the scenarios that come with the package. */
import { execFile } from "node:child_process"
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { Effect } from "effect"
import { afterAll, assert, describe, it } from "vitest"
import * as Scenario from "../../src/programs/simulate/scenario.ts"
import { small } from "../support/scenario.ts"

const cli = resolve("src/programs/cli.ts")
const examples = resolve("examples/scenarios")
const folder = mkdtempSync(join(tmpdir(), "ballast-simulate-"))
afterAll(() => rmSync(folder, { recursive: true }))

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

const simulate = (...args: ReadonlyArray<string>): Promise<Ended> =>
  new Promise((done) => {
    execFile(process.execPath, [cli, "simulate", ...args], { cwd: folder, env: {} }, (error, stdout, stderr) =>
      done({ code: error === null ? 0 : Number(error.code), stdout, stderr })
    )
  })

const rows = ({ stdout }: Ended) =>
  stdout
    .trimEnd()
    .split("\n")
    .map((line): Record<string, unknown> => JSON.parse(line))

const two = small({
  processes: 2,
  policies: { ballast: {}, narrow: { bulkhead: { maxInFlight: 1, maxQueue: 0 } } },
  marks: [{ name: "nothing happens", kind: "note", fromS: 5, toS: 8 }]
})

describe.concurrent("ballast simulate", { timeout: 60_000 }, () => {
  it("prints a timeline and a table", async () => {
    const { code, stderr, stdout } = await simulate(file("two.json", two))
    assert.strictEqual(code, 0, stderr)
    for (const text of ["2 processes", "seed 1", "ballast", "narrow", "nothing happens", "calls/visit", "p99"]) {
      assert.include(stdout, text)
    }
    assert.match(stdout, /█{5}/)
  })

  it("--json prints one line for each policy and seed, and nothing else", async () => {
    const ended = await simulate(file("json.json", two), "--seeds", "3", "--json")
    assert.deepStrictEqual(
      rows(ended).map(({ policy, seed }) => [policy, seed]),
      [1, 2, 3].flatMap((seed) => [
        ["ballast", seed],
        ["narrow", seed]
      ])
    )
    for (const row of rows(ended)) {
      const { failed_ratio, late_ratio, refused_ratio, success_ratio } = row
      const sum = [failed_ratio, late_ratio, refused_ratio, success_ratio].reduce(
        (all: number, each) => all + Number(each),
        0
      )
      assert.closeTo(sum, 1, 1e-4)
    }
  })

  it("is the same byte for byte when repeated, with policies in another order, and for one policy alone", async () => {
    const [ballast, narrow] = [{ ballast: {} }, { narrow: two.policies["narrow"] ?? {} }]
    const args = ["--json", "--seeds", "2"]
    const [first, again, turned, alone] = await Promise.all([
      simulate(file("first.json", two), ...args),
      simulate(file("again.json", two), ...args),
      simulate(file("turned.json", { ...two, policies: { ...narrow, ...ballast } }), ...args),
      simulate(file("alone.json", two), ...args, "--policy", "narrow")
    ])
    assert.strictEqual(again.stdout, first.stdout)
    const lines = (ended: Ended) => ended.stdout.trimEnd().split("\n")
    assert.deepStrictEqual(lines(turned).toSorted(), lines(first).toSorted())
    assert.deepStrictEqual(
      lines(alone),
      lines(first).filter((line) => line.includes('"narrow"'))
    )
  })

  it("--svg draws the timeline into a file, the same one each time", async () => {
    const source = file("drawn.json", two)
    const [one, other] = [join(folder, "one.svg"), join(folder, "other.svg")]
    const { stdout } = await simulate(source, "--svg", one)
    assert.include(stdout, one)
    const json = await simulate(source, "--svg", other, "--json")
    assert.lengthOf(rows(json), 2)
    assert.match(readFileSync(one, "utf8"), /^<svg [\s\S]*<\/svg>\n$/)
    assert.strictEqual(readFileSync(other, "utf8"), readFileSync(one, "utf8"))
  })

  it("says what is wrong with a file and what to do: path, found, allowed; exit 2", async () => {
    const wrong = { ...two, processes: 0, polcies: {}, traffic: { ...two.traffic, patienceMs: -1 } }
    const { code, stderr, stdout } = await simulate(file("wrong.json", wrong))
    assert.strictEqual(code, 2)
    assert.strictEqual(stdout, "")
    for (const text of [
      "wrong.json cannot be used: 3 problems",
      "processes",
      "traffic.patienceMs",
      "found",
      "allowed",
      'did you mean "policies"?'
    ]) {
      assert.include(stderr, text)
    }
    assert.notInclude(stderr, "at file://")
  })

  it("says so where there is no such file, no JSON, no such policy, or no place for the picture", async () => {
    const good = file("good.json", two)
    const [missing, broken, policy, picture, seeds] = await Promise.all([
      simulate("nowhere.json"),
      simulate(file("broken.json", "{")),
      simulate(good, "--policy", "balast"),
      simulate(good, "--policy", "ballast", "--svg", join(folder, "no", "such", "folder.svg")),
      simulate(good, "--seeds", "0")
    ])
    assert.deepStrictEqual([missing.code, broken.code, policy.code, picture.code, seeds.code], [2, 2, 2, 1, 2])
    assert.include(missing.stderr, "no such file")
    assert.match(broken.stderr, /line 1, column 2/)
    assert.include(policy.stderr, 'did you mean "ballast"?')
    assert.include(policy.stderr, '"ballast", "narrow"')
    assert.match(picture.stderr, /Choose another file with --svg/)
  })
})

describe("examples/scenarios", () => {
  it("can all be read, and show what Ballast does beside something else", () => {
    const names = readdirSync(examples)
    for (const name of ["storm.json", "whale.json", "overload.json"]) assert.include(names, name)
    for (const name of names) {
      const scenario = Effect.runSync(
        Scenario.fromUnknown(JSON.parse(readFileSync(join(examples, name), "utf8")), name)
      )
      assert.isAbove(Object.keys(scenario.policies).length, 1, name)
      assert.property(scenario.policies, "ballast", name)
      assert.isNotEmpty(scenario.marks, name)
      assert.isNotEmpty(scenario.description, name)
    }
  })

  it("whale.json: the small tenants hardly notice the whale", { timeout: 60_000 }, async () => {
    const ended = await simulate(join(examples, "whale.json"), "--policy", "ballast", "--json")
    const [row] = rows(ended)
    assert.isAtLeast(Number(row?.["jain"]), 0.97)
    assert.isAtMost(Number(row?.["reject_p99_ms"]), 50)
  })
})
