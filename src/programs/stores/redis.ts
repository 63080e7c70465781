/** What is counted now, for all processes together: in Redis. */
import { Layer } from "effect"
import type { RedisConfig, ResolvedConfig } from "../../domain/config.ts"
import * as Admission from "../../layers/admission/admission.ts"
import { Fleet } from "../../layers/admission/fleet.ts"
import * as BudgetRedis from "../../layers/budget/redis.ts"
import * as CircuitBreakerRedis from "../../layers/circuit-breaker/redis.ts"
import * as IdempotencyRedis from "../../layers/idempotency/redis.ts"
import * as LeasesRedis from "../../layers/leases/redis.ts"
import * as RateLimiterRedis from "../../layers/rate-limiter/redis.ts"
import * as RedisClient from "../../layers/redis/client.ts"
import * as RetryBudgetMemory from "../../layers/retry-budget/memory.ts"
import type { StoreHealth } from "../../services/store-health.ts"
import type { Timers } from "../../services/timers.ts"
import type { Counted, Kept } from "../stores.ts"
import { pools } from "./memory.ts"

/** Counters of the fleet. */
export const counted = (
  config: ResolvedConfig,
  redis: RedisConfig
): Layer.Layer<Counted, never, Kept | StoreHealth | Timers> => {
  const { policies } = config
  const fleet = new Fleet(policies.retry.processes, redis.safety)
  // Without books nobody would read the stream that waits for them.
  const books = config.stores.postgres !== undefined
  return Layer.mergeAll(
    BudgetRedis.layer(policies.budgets),
    CircuitBreakerRedis.layer(policies.breaker, pools(config)),
    IdempotencyRedis.layer(),
    LeasesRedis.layer(policies.leases, fleet),
    RateLimiterRedis.layer(policies.rateLimits, fleet),
    RetryBudgetMemory.layer(policies.retry)
  ).pipe(Layer.provide(Admission.layer(books)), Layer.provide(RedisClient.layer(redis)))
}
