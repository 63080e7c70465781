/**
 * Who got how much. Work is the provider's time (what a request takes on an
 * idle provider), so that one long answer counts as much as ten short ones;
 * success is counted in requests.
 */
import { isGood } from "../../../src/programs/simulate/ending.ts"
import type { Ending } from "../../../src/programs/simulate/ending.ts"
import { jain, maxMin } from "../../../src/programs/simulate/figures.ts"

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

/** A tenant that asks for less than an equal division would give it has all it asks for as its fair share. */
const isSmall = ({ asked, fair }: Share) => asked <= fair + 1e-6

/** The parts of all tenants, for a provider that can do `capacityMs` of work. */
export const of = (endings: ReadonlyArray<Ending>, capacityMs: number): ReadonlyArray<Share> => {
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

/** The figures. The whale's leftover is the capacity without what all others got. */
export const figures = (shares: ReadonlyArray<Share>, whale: string, capacityMs: number) => {
  const small = shares.filter(isSmall)
  const sum = (of: ReadonlyArray<Share>, field: "requests" | "good" | "got") =>
    of.reduce((total, share) => total + share[field], 0)
  const big = shares.find(({ tenant }) => tenant === whale)
  const others = shares.filter(({ tenant }) => tenant !== whale)
  const left = Math.min(big?.asked ?? 0, capacityMs - sum(others, "got"))
  return {
    small_tenant_success: sum(small, "requests") === 0 ? 1 : sum(small, "good") / sum(small, "requests"),
    jain: jain(shares.map(({ fair, got }) => (fair > 0 ? got / fair : 1))),
    whale_leftover: left <= 0 ? 1 : (big?.got ?? 0) / left,
    small_tenants: small.length,
    tenants: shares.length
  }
}
