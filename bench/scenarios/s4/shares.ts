/**
 * Who got how much. Work is the provider's time (what a request takes on an
 * idle provider), so that one long answer counts as much as ten short ones;
 * success is counted in requests.
 *
 * Fair shares are worked out for windows of time and added up: rates change,
 * and capacity that nobody asked for in one minute is no use in the next.
 */
import { isGood } from "../../../src/programs/simulate/ending.ts"
import type { Ending } from "../../../src/programs/simulate/ending.ts"
import { jain, maxMin } from "../../../src/programs/simulate/figures.ts"
import type { Span } from "../harness/figures.ts"

/** One tenant's part. Work in ms of the provider's time. */
export interface Share {
  readonly tenant: string
  readonly requests: number
  readonly good: number
  readonly asked: number
  readonly got: number
  /** What max-min fairness would give it. */
  readonly fair: number
}

type Window = ReadonlyArray<Share>

const windowOf = (endings: ReadonlyArray<Ending>, capacityMs: number): Window => {
  const byTenant = new Map<string, { requests: number; good: number; asked: number; got: number }>()
  for (const ending of endings) {
    const { caller, serviceMs } = ending.visit
    const sum = byTenant.get(caller.tenant) ?? { requests: 0, good: 0, asked: 0, got: 0 }
    byTenant.set(caller.tenant, sum)
    sum.requests++
    sum.asked += serviceMs
    if (!isGood(ending)) continue
    sum.good++
    sum.got += serviceMs
  }
  const entries = [...byTenant]
  const fair = maxMin(
    entries.map(([, { asked }]) => asked),
    capacityMs
  )
  return entries.map(([tenant, sums], index) => ({ tenant, ...sums, fair: fair[index] ?? 0 }))
}

/** The parts of all tenants in each window of `windowMs` of a span, for a provider of so many slots. */
export const windows = (
  endings: ReadonlyArray<Ending>,
  { fromMs, toMs }: Span,
  windowMs: number,
  slots: number
): ReadonlyArray<Window> => {
  const count = Math.max(1, Math.round((toMs - fromMs) / windowMs))
  const width = (toMs - fromMs) / count
  const inWindow: ReadonlyArray<Array<Ending>> = Array.from({ length: count }, () => [])
  for (const ending of endings) inWindow[Math.floor((ending.visit.atMs - fromMs) / width)]?.push(ending)
  return inWindow.map((some) => windowOf(some, slots * width))
}

/** The parts of all tenants over all windows. */
export const total = (all: ReadonlyArray<Window>): ReadonlyArray<Share> => {
  const byTenant = new Map<string, Share>()
  for (const share of all.flat()) {
    const sum = byTenant.get(share.tenant) ?? { tenant: share.tenant, requests: 0, good: 0, asked: 0, got: 0, fair: 0 }
    byTenant.set(share.tenant, {
      tenant: share.tenant,
      requests: sum.requests + share.requests,
      good: sum.good + share.good,
      asked: sum.asked + share.asked,
      got: sum.got + share.got,
      fair: sum.fair + share.fair
    })
  }
  return [...byTenant.values()]
}

/** Of the most that fairness would give to anybody, a small tenant asks for this part or less. */
const smallPart = 0.5

/**
 * What a small tenant asks for at most in a window. Whoever comes nearer to
 * the share of one that cannot get enough loses to its own bursts, whatever the
 * queue does.
 */
const smallAsks = (window: Window, capacityMs: number): number => {
  const given = window.reduce((so, { fair }) => so + fair, 0)
  return smallPart * Math.max(capacityMs - given, ...window.map(({ fair }) => fair))
}

const sum = (shares: ReadonlyArray<Share>, field: "requests" | "good" | "got") =>
  shares.reduce((so, share) => so + share[field], 0)

/** What was left for the whale in a window: the capacity without what all others got, or less where it asked for less. */
const leftFor = (whale: string, window: Window, capacityMs: number): number => {
  const asked = window.find(({ tenant }) => tenant === whale)?.asked ?? 0
  return Math.max(
    0,
    Math.min(
      asked,
      capacityMs -
        sum(
          window.filter(({ tenant }) => tenant !== whale),
          "got"
        )
    )
  )
}

/** The figures. `capacityMs` is the work that one window has room for. */
export const figures = (all: ReadonlyArray<Window>, whale: string, capacityMs: number) => {
  const shares = total(all)
  const small = all.flatMap((window) => {
    const most = smallAsks(window, capacityMs)
    return window.filter(({ asked, tenant }) => tenant !== whale && asked <= most)
  })
  const left = all.reduce((so, window) => so + leftFor(whale, window, capacityMs), 0)
  const got = shares.find(({ tenant }) => tenant === whale)?.got ?? 0
  return {
    small_tenant_success: small.length === 0 ? 1 : sum(small, "good") / sum(small, "requests"),
    jain: jain(shares.map(({ fair, got: had }) => (fair > 0 ? had / fair : 1))),
    whale_leftover: left <= 0 ? 1 : got / left,
    small_requests: sum(small, "requests"),
    tenants: shares.length
  }
}
