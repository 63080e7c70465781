/**
 * The guards over Redis in a test: one process of a fleet, with its own client,
 * under the prefix of the test.
 */
import { Context, Effect, Layer, Redacted, Scope } from "effect"
import type { BudgetPolicy } from "../../src/domain/budget.ts"
import * as BudgetDefaults from "../../src/domain/budget.ts"
import type { RedisConfig } from "../../src/domain/config.ts"
import type { LeasePolicy, RateLimits } from "../../src/domain/policy.ts"
import * as Admission from "../../src/layers/admission/admission.ts"
import { Fleet } from "../../src/layers/admission/fleet.ts"
import * as AuditMemory from "../../src/layers/audit/memory.ts"
import * as BudgetRedis from "../../src/layers/budget/redis.ts"
import * as BudgetCapsConfig from "../../src/layers/budget-caps/config.ts"
import * as LeasesRedis from "../../src/layers/leases/redis.ts"
import * as LedgerMemory from "../../src/layers/ledger/memory.ts"
import * as RateLimiterRedis from "../../src/layers/rate-limiter/redis.ts"
import * as RedisClient from "../../src/layers/redis/client.ts"
import * as StoreHealth from "../../src/layers/store-health/memory.ts"
import * as Wheel from "../../src/layers/timers/wheel.ts"
import { Budget } from "../../src/services/budget.ts"
import { Leases } from "../../src/services/leases.ts"
import type { Ledger } from "../../src/services/ledger.ts"
import { RateLimiter } from "../../src/services/rate-limiter.ts"

/** What a process of the test has. */
export interface Process {
  readonly limiter: RateLimiter["Service"]
  readonly leases: Leases["Service"]
  readonly budget: Budget["Service"]
  readonly client: RedisClient.RedisClient["Service"]
  readonly admission: Admission.Admission["Service"]
  readonly fleet: Fleet
}

export interface ProcessOptions {
  readonly url: string
  readonly prefix: string
  readonly cluster?: boolean
  readonly timeoutMs?: number
  readonly limits?: Partial<RateLimits>
  readonly leases?: Partial<LeasePolicy>
  readonly budgets?: Partial<BudgetPolicy>
  readonly ledger?: Layer.Layer<Ledger>
}

/** Redis as the configuration names it. */
export const redisConfig = ({ cluster = false, prefix, timeoutMs = 500, url }: ProcessOptions): RedisConfig => ({
  url: Redacted.make(url),
  cluster,
  prefix,
  timeoutMs,
  safety: 0.8
})

/** A process; it ends in order when the scope closes. */
export const process = (options: ProcessOptions): Effect.Effect<Process, never, Scope.Scope> =>
  Effect.gen(function* () {
    const fleet = new Fleet(1, 0.8)
    const limits: RateLimits = { user: {}, ip: {}, tenant: {}, global: {}, premiumFactor: 2, ...options.limits }
    const budgets: BudgetPolicy = { ...BudgetDefaults.defaults, ...options.budgets }
    const layer = Layer.mergeAll(
      RateLimiterRedis.layer(limits, fleet),
      LeasesRedis.layer({ ttlMs: 15_000, ...options.leases }, fleet),
      BudgetRedis.layer(budgets)
    ).pipe(
      Layer.provideMerge(Admission.layer(true)),
      Layer.provideMerge(RedisClient.layer(redisConfig(options))),
      Layer.provide(StoreHealth.layer),
      Layer.provide(Wheel.layer),
      Layer.provide(BudgetCapsConfig.layer(budgets).pipe(Layer.provide(AuditMemory.layer))),
      Layer.provide(options.ledger ?? LedgerMemory.layer)
    )
    const context = yield* Layer.build(layer)
    return {
      limiter: Context.get(context, RateLimiter),
      leases: Context.get(context, Leases),
      budget: Context.get(context, Budget),
      client: Context.get(context, RedisClient.RedisClient),
      admission: Context.get(context, Admission.Admission),
      fleet
    }
  })
