/**
 * Everything that several processes share, behind the stores that the
 * configuration names: Redis for what is counted now, Postgres for what has to
 * be true tomorrow. Without them it is all in this process's memory.
 *
 * The layers of a store are only loaded where it is configured.
 */
import { Effect, Layer } from "effect"
import type { ResolvedConfig } from "../domain/config.ts"
import type { StoreError } from "../domain/errors.ts"
import * as StoreHealthMemory from "../layers/store-health/memory.ts"
import type { Audit } from "../services/audit.ts"
import type { Budget } from "../services/budget.ts"
import type { BudgetCaps } from "../services/budget-caps.ts"
import type { CircuitBreaker } from "../services/circuit-breaker.ts"
import type { Idempotency } from "../services/idempotency.ts"
import type { Keys } from "../services/keys.ts"
import type { KillSwitch } from "../services/kill-switch.ts"
import type { Leases } from "../services/leases.ts"
import type { Ledger } from "../services/ledger.ts"
import type { Pacer } from "../services/pacer.ts"
import type { RateLimiter } from "../services/rate-limiter.ts"
import type { RetryBudget } from "../services/retry-budget.ts"
import type { StoreHealth } from "../services/store-health.ts"
import type { Tenants } from "../services/tenants.ts"
import type { Timers } from "../services/timers.ts"
import * as Memory from "./stores/memory.ts"

/** What is counted now. */
export type Counted = Budget | CircuitBreaker | Idempotency | KillSwitch | Leases | Pacer | RateLimiter | RetryBudget

/** What has to be true tomorrow. */
export type Kept = Audit | BudgetCaps | Keys | Ledger | Tenants

/** All of it, and how the stores are. */
export type Stores = Counted | Kept | StoreHealth

/** In this process's memory, whatever the configuration says of stores. */
export const memory = (config: ResolvedConfig): Layer.Layer<Stores, never, Timers> =>
  Memory.counted(config).pipe(Layer.provideMerge(Memory.kept(config)), Layer.provideMerge(StoreHealthMemory.layer))

/** Behind the configured stores. Fails where Postgres has another schema than this version knows. */
export const layer = (config: ResolvedConfig): Layer.Layer<Stores, StoreError, Timers> => {
  const { postgres, redis } = config.stores
  const counted: Layer.Layer<Counted, never, Kept | StoreHealth | Timers> =
    redis === undefined
      ? Memory.counted(config)
      : Layer.unwrap(
          Effect.map(
            Effect.promise(() => import("./stores/redis.ts")),
            (Redis) => Redis.counted(config, redis)
          )
        )
  const kept: Layer.Layer<Kept, StoreError, StoreHealth | Timers> =
    postgres === undefined
      ? Memory.kept(config)
      : Layer.unwrap(
          Effect.map(
            Effect.promise(() => import("./stores/postgres.ts")),
            (Postgres) => Postgres.kept(config, postgres)
          )
        )
  return counted.pipe(Layer.provideMerge(kept), Layer.provideMerge(StoreHealthMemory.layer))
}
