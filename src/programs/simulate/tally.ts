/**
 * Endings, counted: by the second, by the tenant, and how long they took.
 * Works for any policy, whoever played it.
 */
import { ofSorted } from "../percentile.ts"
import { isDegraded, isGood } from "./ending.ts"
import type { Ending } from "./ending.ts"
import * as Figures from "./figures.ts"

/**
 * One second. All but `calls` are by the second in which the visit was to be
 * sent; `late` are answers that came after the visitor's patience, or in part.
 */
export interface Second {
  readonly offered: number
  readonly good: number
  readonly late: number
  readonly refused: number
  readonly failed: number
  /** Calls that the providers got in this second. */
  readonly calls: number
}

/** One tenant. `wanted` and `got` are the provider's time (ms, idle) for all its visits and for its good ones. */
export interface TenantTally extends Figures.Portion {
  readonly tenant: string
  readonly offered: number
  readonly good: number
}

/** Times of some kind, in ms; `null` where there are none. */
export interface Times {
  readonly p50: number | null
  readonly p95: number | null
  readonly p99: number | null
}

/** All counts of one run. */
export interface Tally {
  readonly seconds: ReadonlyArray<Second>
  readonly offered: number
  readonly good: number
  readonly late: number
  readonly refused: number
  readonly failed: number
  /** Good answers that were less than the full one. */
  readonly degraded: number
  readonly calls: number
  /** Whole answers, late ones too. */
  readonly whole: Times
  readonly firstToken: Times
  readonly refusal: Times
  /** In the order of their names. */
  readonly tenants: ReadonlyArray<TenantTally>
  /** How often each code was the last word; see `Ending.code`. */
  readonly codes: Readonly<Record<string, number>>
}

const times = (values: Array<number>): Times => {
  values.sort((a, b) => a - b)
  return { p50: ofSorted(values, 0.5), p95: ofSorted(values, 0.95), p99: ofSorted(values, 0.99) }
}

type Mutable<A> = { -readonly [K in keyof A]: A[K] }

const blank = (): Mutable<Second> => ({ offered: 0, good: 0, late: 0, refused: 0, failed: 0, calls: 0 })

/** Count the endings of a run of `durationS`, and the calls it took. */
export const make = (
  endings: ReadonlyArray<Ending>,
  calls: ReadonlyArray<{ readonly atMs: number }>,
  durationS: number
): Tally => {
  const seconds = Array.from({ length: Math.ceil(durationS) }, blank)
  const tenants = new Map<string, Mutable<TenantTally>>()
  const codes = new Map<string, number>()
  const total = blank()
  const whole: Array<number> = []
  const firstToken: Array<number> = []
  const refusal: Array<number> = []
  let degraded = 0
  for (const ending of endings) {
    const { code, endedMs, firstTokenMs, kind, visit } = ending
    const good = isGood(ending)
    const outcome = kind !== "answered" ? kind : good ? "good" : "late"
    for (const each of [seconds[Math.floor(visit.atMs / 1_000)], total]) {
      if (each === undefined) continue
      each.offered++
      each[outcome]++
    }
    const name = visit.caller.tenant
    const tenant = tenants.get(name) ?? { tenant: name, offered: 0, good: 0, wanted: 0, got: 0 }
    tenants.set(name, tenant)
    tenant.offered++
    tenant.wanted += visit.serviceMs
    if (good) {
      tenant.good++
      tenant.got += visit.serviceMs
    }
    if (good && isDegraded(ending)) degraded++
    if (code !== undefined) codes.set(code, (codes.get(code) ?? 0) + 1)
    if (firstTokenMs !== undefined) firstToken.push(firstTokenMs)
    if (kind === "answered") whole.push(endedMs)
    if (kind === "refused") refusal.push(endedMs)
  }
  for (const { atMs } of calls) {
    const second = seconds[Math.floor(atMs / 1_000)]
    if (second !== undefined) second.calls++
  }
  return {
    ...total,
    seconds,
    degraded,
    calls: calls.length,
    whole: times(whole),
    firstToken: times(firstToken),
    refusal: times(refusal),
    tenants: [...tenants.values()].toSorted((a, b) => (a.tenant < b.tenant ? -1 : 1)),
    codes: Object.fromEntries([...codes].toSorted(([a], [b]) => (a < b ? -1 : 1)))
  }
}

/** Jain's index over the tenants, of what they got of their fair shares. */
export const jain = ({ tenants }: Tally): number => Figures.fairness(tenants)
