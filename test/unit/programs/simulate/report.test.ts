import { assert, describe, it } from "@effect/vitest"
import type { Ending } from "../../../../src/programs/simulate/ending.ts"
import * as Report from "../../../../src/programs/simulate/report.ts"
import * as Tally from "../../../../src/programs/simulate/tally.ts"
import { ending, scenario } from "../../../support/scenario.ts"

const stats = {
  calls: 0,
  running: 0,
  finished: 0,
  abandoned: 0,
  refused: 0,
  failed: 0,
  generatedTokens: 1_500,
  promptTokens: 20_000
}

const rowOf = (
  endings: ReadonlyArray<Ending>,
  more: Parameters<typeof scenario>[0] = {},
  policy = "ballast",
  seed = 1
) => {
  const of = scenario(more)
  return Report.row(
    { scenario: of, policy, seed, stats: { one: stats, two: stats } },
    Tally.make(endings, [{ atMs: 1 }, { atMs: 2 }, { atMs: 3 }], of.durationS)
  )
}

describe("row", () => {
  it("has the ratios of those offered, times, and the tokens of all providers", () => {
    const row = rowOf([
      ending({}),
      ending({}, { endedMs: 12_000 }),
      ending({}, { kind: "refused", code: "BulkheadError.QueueFull", endedMs: 2.26 }),
      ending({}, { kind: "failed", code: "ProviderError.Timeout" })
    ])
    assert.deepStrictEqual(row, {
      scenario: "small",
      policy: "ballast",
      seed: 1,
      offered: 4,
      success_ratio: 0.25,
      late_ratio: 0.25,
      refused_ratio: 0.25,
      failed_ratio: 0.25,
      attempts_per_request: 0.75,
      whole_p50_ms: 1_000,
      whole_p95_ms: 12_000,
      whole_p99_ms: 12_000,
      reject_p99_ms: 2.3,
      input_tokens: 40_000,
      output_tokens: 3_000,
      codes: { "BulkheadError.QueueFull": 1, "ProviderError.Timeout": 1 }
    })
  })

  it("leaves out what does not apply, and has it where it does", () => {
    const marks = [{ name: "trigger", fromS: 5, toS: 6 }]
    const seconds = Array.from({ length: 20 }, (_, second) => ending({ atMs: second * 1_000, patienceMs: 1_000 }))
    const row = rowOf([...seconds, ending({ tenant: "other" }, { firstTokenMs: 100, rung: "smaller-model" })], {
      marks,
      traffic: { tenants: [{ name: "app", ratePerS: 1 }], patienceMs: 1_000 }
    })
    assert.deepInclude(row, { goodput_ratio: 1, recovery_s: 0, jain: 1, ttft_p50_ms: 100 })
    assert.strictEqual(row.degraded_ratio, 0.04762)
    const never = rowOf(
      seconds.map((each, second) => (second < 5 ? each : { ...each, kind: "failed" as const })),
      { marks, traffic: { tenants: [{ name: "app", ratePerS: 1 }], patienceMs: 1_000 } }
    )
    assert.deepInclude(never, { goodput_ratio: 0, recovery_s: null })
  })

  it("is nothing but numbers where nobody came", () => {
    assert.deepInclude(rowOf([]), { offered: 0, success_ratio: 0, attempts_per_request: 0, whole_p50_ms: null })
  })
})

describe("patienceS", () => {
  it("is the longest of all", () => {
    const tenants = [
      { name: "a", ratePerS: 1 },
      { name: "b", ratePerS: 1, patienceMs: 90_000 }
    ] as const
    assert.strictEqual(Report.patienceS(scenario({ traffic: { tenants } })), 90)
    assert.strictEqual(Report.patienceS(scenario()), 10)
  })
})

describe("table", () => {
  const row = (policy: string, seed: number, success: number, recovery: number | null): Report.Row => ({
    ...rowOf([ending({})], {}, policy, seed),
    success_ratio: success,
    recovery_s: recovery
  })
  const cellsOf = (rows: ReadonlyArray<Report.Row>, title: string) =>
    Report.table(rows)
      .find((line) => line.startsWith(title))
      ?.slice(title.length)
      .trim()
      .split(/ {2,}/)

  it("has a column for each policy, and no line for what applies to none", () => {
    const rows = [row("ballast", 1, 0.991, 9), row("naive", 1, 0.4, null)]
    assert.deepStrictEqual(cellsOf(rows, "good"), ["99.1 %", "40.0 %"])
    assert.deepStrictEqual(cellsOf(rows, "recovery"), ["9 s", "never"])
    assert.isUndefined(cellsOf(rows, "Jain"))
    assert.isUndefined(cellsOf(rows, "refusal p99"))
    const lines = Report.table(rows)
    assert.strictEqual(new Set(lines.map(({ length }) => length)).size, 1)
  })

  it("shows the median and the worst of several seeds, whichever end is the bad one; never is worse than late", () => {
    const rows = [row("ballast", 1, 0.9, 12), row("ballast", 2, 0.99, 4), row("ballast", 3, 0.98, null)]
    assert.match(Report.table(rows)[0] ?? "", /ballast +worst of 3$/)
    assert.deepStrictEqual(cellsOf(rows, "good"), ["98.0 %", "90.0 %"])
    assert.deepStrictEqual(cellsOf(rows, "recovery"), ["12 s", "never"])
  })
})
