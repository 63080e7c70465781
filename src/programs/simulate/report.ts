/**
 * The figures of a run as one row: a line of JSON, and a line of the table.
 */
import { percentile } from "../percentile.ts"
import type { SimStats } from "../../layers/provider/sim/engine.ts"
import * as Figures from "./figures.ts"
import type { Scenario } from "./scenario.ts"
import * as Tally from "./tally.ts"

/**
 * One run. Ratios are of the visits offered; times are ms after the intended
 * send time. Fields that do not apply are absent.
 *
 * - `success_ratio`: whole answers in time; `late_ratio`: answers after that, or in part
 * - `degraded_ratio`: of the former, those that were less than the full answer; only where there are any
 * - `goodput_ratio`, `recovery_s`: see `figures.ts`; only with a trigger. `recovery_s` is `null` where it never came
 * - `attempts_per_request`: calls that providers got, for each visit
 * - `jain`: of what tenants got of their max-min fair shares of what was given away; only with several tenants
 * - `whole_…`: whole answers, late ones too (`null`: there was none); `ttft_…`: first tokens of streams; `reject_…`: refusals
 * - `input_tokens`, `output_tokens`: what providers read and wrote, for visitors who had left too
 */
export interface Row {
  readonly scenario: string
  readonly policy: string
  readonly seed: number
  readonly offered: number
  readonly success_ratio: number
  readonly late_ratio: number
  readonly degraded_ratio?: number
  readonly refused_ratio: number
  readonly failed_ratio: number
  readonly attempts_per_request: number
  readonly goodput_ratio?: number | null
  readonly recovery_s?: number | null
  readonly jain?: number
  readonly whole_p50_ms: number | null
  readonly whole_p95_ms: number | null
  readonly whole_p99_ms: number | null
  readonly ttft_p50_ms?: number | null
  readonly ttft_p95_ms?: number | null
  readonly ttft_p99_ms?: number | null
  readonly reject_p99_ms?: number | null
  readonly input_tokens: number
  readonly output_tokens: number
  readonly codes: Readonly<Record<string, number>>
}

const round = (value: number, digits: number): number => Number(value.toFixed(digits))
const ms = (value: number | null): number | null => (value === null ? null : round(value, 1))

/** The longest patience of a scenario's visitors, in seconds. */
export const patienceS = ({ traffic }: Scenario): number =>
  Math.max(...traffic.tenants.map((tenant) => tenant.patienceMs ?? traffic.patienceMs)) / 1_000

/** The row of one run. */
export const row = (
  run: {
    readonly scenario: Scenario
    readonly policy: string
    readonly seed: number
    readonly stats: Readonly<Record<string, SimStats>>
  },
  tally: Tally.Tally
): Row => {
  const { policy, scenario, seed } = run
  const ratio = (count: number) => (tally.offered === 0 ? 0 : round(count / tally.offered, 5))
  const trigger = scenario.marks.find(({ kind }) => kind === "trigger")
  const stats = Object.values(run.stats)
  const patience = patienceS(scenario)
  const goodput = trigger === undefined ? null : Figures.goodputRatio(tally.seconds, trigger, patience)
  return {
    scenario: scenario.name,
    policy,
    seed,
    offered: tally.offered,
    success_ratio: ratio(tally.good),
    late_ratio: ratio(tally.late),
    ...(tally.degraded === 0 ? {} : { degraded_ratio: ratio(tally.degraded) }),
    refused_ratio: ratio(tally.refused),
    failed_ratio: ratio(tally.failed),
    attempts_per_request: ratio(tally.calls),
    ...(trigger === undefined
      ? {}
      : {
          goodput_ratio: goodput === null ? null : round(goodput, 4),
          recovery_s: Figures.recoveryS(tally.seconds, trigger, patience)
        }),
    ...(tally.tenants.length > 1 ? { jain: round(Tally.jain(tally), 4) } : {}),
    whole_p50_ms: ms(tally.whole.p50),
    whole_p95_ms: ms(tally.whole.p95),
    whole_p99_ms: ms(tally.whole.p99),
    ...(tally.firstToken.p50 === null
      ? {}
      : {
          ttft_p50_ms: ms(tally.firstToken.p50),
          ttft_p95_ms: ms(tally.firstToken.p95),
          ttft_p99_ms: ms(tally.firstToken.p99)
        }),
    ...(tally.refusal.p99 === null ? {} : { reject_p99_ms: ms(tally.refusal.p99) }),
    input_tokens: stats.reduce((sum, { promptTokens }) => sum + promptTokens, 0),
    output_tokens: stats.reduce((sum, { generatedTokens }) => sum + generatedTokens, 0),
    codes: tally.codes
  }
}

type Cell = (row: Row) => number | null | undefined

/** A column: which end is the bad one, and how a value is written. `undefined` values do not apply. */
interface Column {
  readonly title: string
  readonly value: Cell
  readonly worst: "least" | "most"
  readonly write: (value: number) => string
  /** What `null` means in it. */
  readonly none?: string
}

const percent = (value: number) => `${(value * 100).toFixed(1)} %`
const duration = (value: number) => (value < 1_000 ? `${Math.round(value)} ms` : `${(value / 1_000).toFixed(2)} s`)
const seconds = (value: number) => `${value} s`
const tokens = (value: number) => (value < 1e6 ? `${Math.round(value / 1e3)}k` : `${(value / 1e6).toFixed(2)}M`)

const columns: ReadonlyArray<Column> = [
  { title: "offered", value: (each) => each.offered, worst: "most", write: (value) => value.toFixed(0) },
  { title: "good", value: (each) => each.success_ratio, worst: "least", write: percent },
  { title: "late", value: (each) => each.late_ratio, worst: "most", write: percent },
  { title: "of a lesser rung", value: (each) => each.degraded_ratio, worst: "most", write: percent },
  { title: "refused", value: (each) => each.refused_ratio, worst: "most", write: percent },
  { title: "failed", value: (each) => each.failed_ratio, worst: "most", write: percent },
  {
    title: "calls/visit",
    value: (each) => each.attempts_per_request,
    worst: "most",
    write: (value) => value.toFixed(2)
  },
  { title: "recovery", value: (each) => each.recovery_s, worst: "most", write: seconds, none: "never" },
  { title: "goodput after", value: (each) => each.goodput_ratio, worst: "least", write: percent },
  { title: "Jain", value: (each) => each.jain, worst: "least", write: (value) => value.toFixed(3) },
  { title: "answer p50", value: (each) => each.whole_p50_ms, worst: "most", write: duration },
  { title: "p95", value: (each) => each.whole_p95_ms, worst: "most", write: duration },
  { title: "p99", value: (each) => each.whole_p99_ms, worst: "most", write: duration },
  { title: "first token p50", value: (each) => each.ttft_p50_ms, worst: "most", write: duration },
  { title: "p95", value: (each) => each.ttft_p95_ms, worst: "most", write: duration },
  { title: "p99", value: (each) => each.ttft_p99_ms, worst: "most", write: duration },
  { title: "refusal p99", value: (each) => each.reject_p99_ms, worst: "most", write: duration },
  { title: "tokens in", value: (each) => each.input_tokens, worst: "most", write: tokens },
  { title: "tokens out", value: (each) => each.output_tokens, worst: "most", write: tokens }
]

/** `null` is worse than any number where it has a meaning ("never"), and left out where it has none. */
const pick = (rows: ReadonlyArray<Row>, column: Column, q: number): string => {
  const values = rows.map(column.value)
  const bad = column.worst === "most" ? Infinity : -Infinity
  const known = values.flatMap((value) =>
    typeof value === "number" ? [value] : value === null && column.none !== undefined ? [bad] : []
  )
  const value = percentile(known, column.worst === "most" ? q : 1 - q)
  if (value === null) return "-"
  return Number.isFinite(value) ? column.write(value) : (column.none ?? "-")
}

const policiesOf = (rows: ReadonlyArray<Row>) => [...new Set(rows.map(({ policy }) => policy))]

/**
 * The table, line by line: a column for each policy, or two (median and worst)
 * where there are several seeds. Figures that do not apply have no line.
 */
export const table = (rows: ReadonlyArray<Row>): ReadonlyArray<string> => {
  const heads: Array<{ readonly title: string; readonly rows: ReadonlyArray<Row>; readonly q: number }> = []
  for (const policy of policiesOf(rows)) {
    const own = rows.filter((each) => each.policy === policy)
    heads.push({ title: policy, rows: own, q: 0.5 })
    if (own.length > 1) heads.push({ title: `worst of ${own.length}`, rows: own, q: 1 })
  }
  const body = columns.flatMap((column) => {
    const cells = heads.map((head) => pick(head.rows, column, head.q))
    return cells.every((cell) => cell === "-") ? [] : [{ title: column.title, cells }]
  })
  const first = Math.max(...body.map(({ title }) => title.length)) + 2
  const widths = heads.map(
    ({ title }, index) => Math.max(title.length, ...body.map(({ cells }) => (cells[index] ?? "").length)) + 3
  )
  const line = (title: string, cells: ReadonlyArray<string>) =>
    `${title.padEnd(first)}${cells.map((cell, index) => cell.padStart(widths[index] ?? 0)).join("")}`
  return [
    line(
      "",
      heads.map(({ title }) => title)
    ),
    "-".repeat(first + widths.reduce((sum, width) => sum + width, 0)),
    ...body.map(({ cells, title }) => line(title, cells))
  ]
}
