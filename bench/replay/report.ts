/** The report of a replay. */
import type * as Account from "./account.ts"
import type * as Verdict from "./verdict.ts"

const quantile = (sorted: ReadonlyArray<number>, q: number) =>
  sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))]

/** How the requests ended, by reason, and how long the answered ones took (ms). */
export const summary = (endings: ReadonlyArray<Account.Ending>) => {
  const reasons: Record<Account.Kind, Record<string, number>> = { answered: {}, refused: {}, cancelled: {}, failed: {} }
  for (const { kind, reason } of endings) reasons[kind][reason] = (reasons[kind][reason] ?? 0) + 1
  const times = endings.flatMap(({ kind, ms }) => (kind === "answered" ? [ms] : [])).toSorted((a, b) => a - b)
  return {
    reasons,
    answeredMs: {
      p50: quantile(times, 0.5) ?? null,
      p95: quantile(times, 0.95) ?? null,
      p99: quantile(times, 0.99) ?? null
    }
  }
}

/** All that is told. */
export type Report = ReturnType<typeof summary> & {
  readonly file: string
  readonly rows: number
  readonly scale: number
  readonly sentInS: number
  readonly url: string
  readonly server: Readonly<Record<string, number>> | null
  readonly checks: ReadonlyArray<Verdict.Check>
}

/** The report for people. */
export const text = (report: Report): string => {
  const lines = [
    `${report.rows} requests of ${report.file}, ${report.scale} times as fast (${report.sentInS.toFixed(1)} s), against ${report.url}`,
    ""
  ]
  for (const [kind, reasons] of Object.entries(report.reasons)) {
    const entries = Object.entries(reasons).toSorted(([, a], [, b]) => b - a)
    const total = entries.reduce((sum, [, count]) => sum + count, 0)
    lines.push(`${kind.padEnd(28)}${String(total).padStart(6)}`)
    for (const [reason, count] of entries) lines.push(`  ${reason.padEnd(26)}${String(count).padStart(6)}`)
  }
  const { p50, p95, p99 } = report.answeredMs
  lines.push("", `answered after p50 ${ms(p50)}, p95 ${ms(p95)}, p99 ${ms(p99)}`, "")
  if (report.server === null)
    lines.push("The server's metrics page could not be read: its counters were not compared.", "")
  for (const { detail, name, ok } of report.checks) lines.push(`${ok ? "ok  " : "FAIL"}  ${name.padEnd(30)} ${detail}`)
  return `${lines.join("\n")}\n`
}

const ms = (value: number | null) => (value === null ? "-" : `${value.toFixed(0)} ms`)
