/** What is counted now, for all processes together: in Redis. */
import { Layer } from "effect"
import type { RedisConfig, ResolvedConfig } from "../../domain/config.ts"
import * as Admission from "../../layers/admission/admission.ts"
import { Fleet } from "../../layers/admission/fleet.ts"
import * as BudgetRedis from "../../layers/budget/redis.ts"
import * as CircuitBreakerRedis from "../../layers/circuit-breaker/redis.ts"
import * as IdempotencyRedis from "../../layers/idempotency/redis.ts"
import * as KillSwitchRedis from "../../layers/kill-switch/redis.ts"
import * as LeasesRedis from "../../layers/leases/redis.ts"
import * as Outbox from "../../layers/ledger/outbox.ts"
import * as PacerRedis from "../../layers/pacer/redis.ts"
import * as RateLimiterRedis from "../../layers/rate-limiter/redis.ts"
import * as RedisClient from "../../layers/redis/client.ts"
import * as RetryBudgetRedis from "../../layers/retry-budget/redis.ts"
import type { StoreHealth } from "../../services/store-health.ts"
import type { Timers } from "../../services/timers.ts"
import type { Counted, Kept } from "../stores.ts"
import { pacing, pools } from "./memory.ts"

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
    KillSwitchRedis.layer(config.killSwitches),
    LeasesRedis.layer(policies.leases, fleet),
    PacerRedis.layer({ ...pacing(config), safety: redis.safety }),
    RateLimiterRedis.layer(policies.rateLimits, fleet),
    RetryBudgetRedis.layer(policies.retry),
    books ? Layer.effectDiscard(Outbox.make()) : Layer.empty
  ).pipe(Layer.provide(Admission.layer(books)), Layer.provide(RedisClient.layer(redis)))
}
