/** What processes share, for one process alone: in its memory. */
import { Layer } from "effect"
import * as Candidate from "../../domain/candidate.ts"
import type { ResolvedConfig } from "../../domain/config.ts"
import * as AuditMemory from "../../layers/audit/memory.ts"
import * as BudgetMemory from "../../layers/budget/memory.ts"
import * as BudgetCapsConfig from "../../layers/budget-caps/config.ts"
import * as CircuitBreakerMemory from "../../layers/circuit-breaker/memory.ts"
import * as IdempotencyMemory from "../../layers/idempotency/memory.ts"
import * as KeysMemory from "../../layers/keys/memory.ts"
import * as KillSwitchMemory from "../../layers/kill-switch/memory.ts"
import * as LeasesMemory from "../../layers/leases/memory.ts"
import * as LedgerMemory from "../../layers/ledger/memory.ts"
import * as PacerMemory from "../../layers/pacer/memory.ts"
import * as RateLimiterMemory from "../../layers/rate-limiter/memory.ts"
import * as RetryBudgetMemory from "../../layers/retry-budget/memory.ts"
import * as TenantsConfig from "../../layers/tenants/config.ts"
import type { Tenants } from "../../services/tenants.ts"
import type { Timers } from "../../services/timers.ts"
import type { Counted, Kept } from "../stores.ts"

/** The breakers of each model's candidates: each can stand in for the others. */
export const pools = ({ models }: ResolvedConfig) => ({
  pools: models.map(({ candidates }) => candidates.map(Candidate.key))
})

/** The providers' own limits, as far as they are configured. */
export const pacing = ({ policies, providers }: ResolvedConfig): PacerMemory.PacerOptions => ({
  policy: policies.pacing,
  providers: Object.fromEntries(Object.values(providers).map(({ limits, name }) => [name, limits])),
  processes: policies.retry.processes
})

/** Callers as the configuration names them. */
export const tenants = ({ auth }: ResolvedConfig): Layer.Layer<Tenants> =>
  auth.mode === "open" ? TenantsConfig.layerOpen() : TenantsConfig.layerKeys(auth.keys)

/** Counters of this process. */
export const counted = (config: ResolvedConfig): Layer.Layer<Counted, never, Kept | Timers> => {
  const { policies } = config
  return Layer.mergeAll(
    BudgetMemory.layer(policies.budgets),
    CircuitBreakerMemory.layer(policies.breaker, pools(config)),
    IdempotencyMemory.layer(),
    KillSwitchMemory.layer(config.killSwitches),
    LeasesMemory.layer(policies.leases),
    PacerMemory.layer(pacing(config)),
    RateLimiterMemory.layer(policies.rateLimits),
    RetryBudgetMemory.layer(policies.retry)
  )
}

/** Books and keys of this process. */
export const kept = (config: ResolvedConfig): Layer.Layer<Kept> =>
  // Merged last, the configured tenants replace those of the keys in memory; in mode `store` those are the ones.
  Layer.merge(KeysMemory.layer, config.auth.mode === "store" ? Layer.empty : tenants(config)).pipe(
    Layer.merge(BudgetCapsConfig.layer(config.policies.budgets)),
    Layer.merge(LedgerMemory.layer),
    Layer.provideMerge(AuditMemory.layer)
  )
