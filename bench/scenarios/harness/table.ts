/** The table for people: for each variant and policy the worst seed and the median, beside what is promised. */
import * as Case from "./case.ts"
import type { Bench, Figures, Target } from "./case.ts"
import type { Job } from "./job.ts"

/** A job and its figures; `undefined` where the run failed. */
export interface Result {
  readonly job: Job
  readonly figures: Figures | undefined
}

/** What of a benchmark the table speaks of; one in real time has this too. */
export interface Shown extends Pick<Bench, "name" | "title" | "scale"> {
  readonly cases: ReadonlyArray<Pick<Case.Case, "variant" | "about" | "targets" | "expected">>
}

/** Figures that are shown where nothing is promised about them. */
const shown = [
  "goodput_ratio",
  "success_ratio",
  "attempts_per_request",
  "recovery_s",
  "oracle_ratio",
  "rate_limited_ratio",
  "late_ratio",
  "reject_p99_ms",
  "jain",
  "small_tenant_success",
  "whale_leftover",
  "extra_cost_ratio",
  "ttft_p99_ms",
  "detect_s",
  "detect_calls",
  "dead_calls",
  "dead_calls_allowed",
  "overshoot_ratio",
  "false_refusal_ratio",
  "ledger_mismatch_usd",
  "leak_return_s",
  "phantom_ratio",
  "used_ratio",
  "unavailable_ratio",
  "redis_timeout_ratio",
  "permits_over_limit",
  "release_s",
  "lost_notice_ms",
  "fence_violations",
  "decision_p50_ms",
  "decision_p99_ms",
  "admission_ratio",
  "admission_max_ratio",
  "heal_s"
]

/** More of these is better. */
const moreIsBetter = new Set([
  "goodput_ratio",
  "success_ratio",
  "oracle_ratio",
  "jain",
  "small_tenant_success",
  "whale_leftover",
  "dead_calls_allowed"
])

const median = (sorted: ReadonlyArray<number>): number => {
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2 === 1
    ? (sorted[middle] ?? Number.NaN)
    : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2
}

const text = (value: number | undefined): string =>
  value === undefined ? "-" : Math.abs(value) >= 100 ? value.toFixed(0) : value.toFixed(3).replace(/\.?0+$/u, "")

const targetsOf = (bench: Shown, variant: string, policy: string): ReadonlyArray<Target> => {
  const one = bench.cases.find((each) => each.variant === variant)
  if (one === undefined) return []
  return Case.isOurs(policy) ? one.targets : (one.expected?.[policy] ?? [])
}

/** Results of one variant and policy, in the order they were first seen. */
const groups = (results: ReadonlyArray<Result>): ReadonlyArray<ReadonlyArray<Result>> => {
  const byKey = new Map<string, Array<Result>>()
  for (const result of results) {
    const key = `${result.job.variant} ${result.job.policy}`
    const group = byKey.get(key)
    if (group === undefined) byKey.set(key, [result])
    else group.push(result)
  }
  return [...byKey.values()]
}

/** How many seeds miss a target. */
const missed = (target: Target, group: ReadonlyArray<Result>): number =>
  group.filter(({ figures }) => figures === undefined || !Case.isMet(target, figures)).length

/** Whether every run of Ballast's own policies met every target. */
export const allMet = (bench: Shown, results: ReadonlyArray<Result>): boolean =>
  groups(results).every((group) => {
    const [first] = group
    if (first === undefined) return true
    const { policy, variant } = first.job
    if (!Case.isOurs(policy)) return group.every(({ figures }) => figures !== undefined)
    return targetsOf(bench, variant, policy).every((target) => missed(target, group) === 0)
  })

const line = (cells: ReadonlyArray<string>) =>
  `  ${(cells[0] ?? "").padEnd(24)}${(cells[1] ?? "").padEnd(24)}${(cells[2] ?? "").padStart(10)}${(cells[3] ?? "").padStart(10)}  ${cells[4] ?? ""}`.trimEnd()

const ofGroup = (bench: Shown, group: ReadonlyArray<Result>): ReadonlyArray<string> => {
  const [first] = group
  if (first === undefined) return []
  const { policy, variant } = first.job
  const targets = targetsOf(bench, variant, policy)
  const fields = [...new Set([...targets.map(({ field }) => field), ...shown])]
  const lines: Array<string> = []
  for (const field of fields) {
    const values = group
      .flatMap(({ figures }) => (figures?.[field] === undefined ? [] : [figures[field]]))
      .toSorted((a, b) => a - b)
    const target = targets.find((one) => one.field === field)
    if (values.length === 0 && target === undefined) continue
    const best = target === undefined ? moreIsBetter.has(field) : target.at === "least"
    const worst = best ? values[0] : values.at(-1)
    const misses = target === undefined ? 0 : missed(target, group)
    const verdict =
      target === undefined
        ? ""
        : `${target.at === "least" ? ">=" : "<="} ${text(target.bound)}  ${misses === 0 ? "met" : `MISSED on ${misses} of ${group.length}`}`
    lines.push(line([lines.length === 0 ? policy : "", field, text(worst), text(median(values)), verdict]))
  }
  const failures = group.filter(({ figures }) => figures === undefined).length
  if (failures > 0) lines.push(line([policy, `${failures} runs failed`]))
  return lines
}

/** The whole table. */
export const render = (bench: Shown, results: ReadonlyArray<Result>): string => {
  const lines = [`${bench.name} ${bench.title}`, `scale: ${bench.scale}`]
  for (const one of bench.cases) {
    const ofCase = groups(results.filter(({ job }) => job.variant === one.variant))
    if (ofCase.length === 0) continue
    const seeds = Math.max(...ofCase.map((group) => group.length))
    lines.push(
      "",
      `${one.variant}: ${one.about} (${seeds} ${seeds === 1 ? "seed" : "seeds"})`,
      line(["policy", "figure", "worst", "median", "target"])
    )
    for (const group of ofCase) lines.push(...ofGroup(bench, group))
  }
  return `${lines.join("\n")}\n`
}
