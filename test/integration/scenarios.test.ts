/**
 * The scenario benchmarks with one seed each: the same runs and the same
 * targets as `npm run bench -- S1` and its siblings with thirty.
 */
import { execFile } from "node:child_process"
import { describe, expect, it } from "@effect/vitest"
import * as Benches from "../../bench/scenarios/harness/benches.ts"
import { isMet, isOurs } from "../../bench/scenarios/harness/case.ts"
import type { Figures, Target } from "../../bench/scenarios/harness/case.ts"

interface Row {
  readonly variant: string
  readonly policy: string
  readonly seed: number
  readonly figures: Figures
}

const run = (name: string, flags: ReadonlyArray<string>) =>
  new Promise<{ readonly code: number; readonly rows: ReadonlyArray<Row> }>((resolve, reject) => {
    const argv = ["bench/main.ts", name, "--seeds", "1", "--quick", "--json", ...flags]
    execFile(process.execPath, argv, { maxBuffer: 10_000_000 }, (error, stdout) => {
      const code = error === null ? 0 : error.code
      if (typeof code !== "number") return reject(error ?? new Error("no exit code"))
      const rows = stdout
        .split("\n")
        .filter((line) => line !== "")
        .map((line): Row => {
          const { policy, scenario, seed, variant, ...figures } = JSON.parse(line)
          expect(scenario).toBe(name)
          return { policy, seed, variant, figures }
        })
      resolve({ code, rows })
    })
  })

/** Every promise that a row breaks, so that a failure shows the figure. */
const broken = (row: Row, targets: ReadonlyArray<Target>) =>
  targets
    .filter((target) => !isMet(target, row.figures))
    .map(({ at, bound, field }) => `${row.variant} ${row.policy}: ${field} ${row.figures[field]}, at ${at} ${bound}`)

const verify = async (name: string, flags: ReadonlyArray<string>, policies: ReadonlyArray<string>) => {
  const { code, rows } = await run(name, flags)
  const bench = await Benches.load(name)
  expect([...new Set(rows.map(({ policy }) => policy))].toSorted()).toEqual(policies.toSorted())
  const misses = rows.flatMap((row) => {
    const one = Benches.caseOf(bench, row.variant)
    return broken(row, isOurs(row.policy) ? one.targets : (one.expected?.[row.policy] ?? []))
  })
  expect(misses).toEqual([])
  expect(code).toBe(0)
  return rows
}

const of = (rows: ReadonlyArray<Row>, variant: string, policy: string): Figures =>
  rows.find((row) => row.variant === variant && row.policy === policy)?.figures ?? {}

/** Room for a slow machine: such a run takes some seconds. */
const patienceMs = 120_000

const only = (flag: "policy" | "variant", ...names: ReadonlyArray<string>) =>
  names.flatMap((name) => [`--${flag}`, name])

describe("scenario benchmarks, one seed each", () => {
  it(
    "S1: the fleet recovers from a storm, and retries still save single failures",
    async () => {
      const rows = await verify("S1", only("policy", "ballast", "p-retry"), ["ballast", "p-retry"])
      // The storm is real: who only retries stays down.
      expect(of(rows, "storm", "p-retry").goodput_ratio).toBeLessThan(0.05)
      expect(of(rows, "storm", "p-retry").attempts_per_request).toBeGreaterThan(2)
    },
    patienceMs
  )

  it(
    "S2: no lock-out after an outage, and a limit used to the full, recorded bursts and all",
    async () => {
      const policies = ["ballast", "sdk-p-retry"]
      const rows = await verify("S2", [...only("variant", "lockout"), ...only("policy", ...policies)], policies)
      expect(of(rows, "lockout", "sdk-p-retry").attempts_per_request).toBeGreaterThan(3)
      // The recordings do not come with the package.
      const { cases } = await Benches.load("S2")
      const recorded = cases.filter(({ variant }) => variant.startsWith("azure2023_code")).map(({ variant }) => variant)
      if (recorded.length === 0) return
      const played = await verify("S2", [...only("variant", ...recorded), ...only("policy", "ballast")], ["ballast"])
      expect(played).toHaveLength(recorded.length)
    },
    patienceMs
  )

  it(
    "S3: an overload of 2 and of 10 times costs little goodput",
    async () => {
      const policies = ["ballast", "ballast-adaptive", "p-limit"]
      const rows = await verify("S3", only("policy", ...policies), policies)
      expect(of(rows, "10x", "p-limit").goodput_ratio).toBeLessThan(0.5)
    },
    patienceMs
  )

  it(
    "S4: a whale starves nobody",
    async () => {
      const policies = ["ballast", "p-limit"]
      const rows = await verify("S4", [...only("variant", "whale"), ...only("policy", ...policies)], policies)
      expect(of(rows, "whale", "p-limit").small_tenant_success).toBeLessThan(0.5)
    },
    patienceMs
  )

  it(
    "S5: outages, brownouts and flapping are seen, survived and left behind",
    async () => {
      const rows = await verify("S5", only("policy", "ballast"), ["ballast"])
      expect(rows.map(({ variant }) => variant)).toEqual(["outage-60s", "outage-60min", "brownout", "flapping"])
    },
    patienceMs
  )

  it(
    "S10: hedging cuts the tail for little money, and stops when all is slow",
    async () => {
      const policies = ["ballast", "unhedged", "promise-any"]
      const rows = await verify("S10", only("policy", ...policies), policies)
      expect(of(rows, "stragglers", "promise-any").attempts_per_request).toBe(2)
    },
    patienceMs
  )
})
