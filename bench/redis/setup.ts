/** What is measured: the guards over Redis, and the same guards in memory, whose cost is taken off. */
import { Effect, Layer } from "effect"
import * as BudgetDomain from "../../src/domain/budget.ts"
import * as Caller from "../../src/domain/caller.ts"
import type { Caller as CallerType } from "../../src/domain/caller.ts"
import type { RateLimits } from "../../src/domain/policy.ts"
import * as Lua from "../../src/layers/admission/lua.ts"
import * as BudgetCapsConfig from "../../src/layers/budget-caps/config.ts"
import * as BudgetMemory from "../../src/layers/budget/memory.ts"
import * as LeasesMemory from "../../src/layers/leases/memory.ts"
import * as LedgerMemory from "../../src/layers/ledger/memory.ts"
import * as RateLimiterMemory from "../../src/layers/rate-limiter/memory.ts"
import { RedisClient } from "../../src/layers/redis/client.ts"
import { Audit } from "../../src/services/audit.ts"
import type { Budget } from "../../src/services/budget.ts"
import type { Leases } from "../../src/services/leases.ts"
import type { RateLimiter } from "../../src/services/rate-limiter.ts"
import * as Stores from "../scenarios/stores/layers.ts"

/** Requests a second in one process: what the budget of `docs/scenarios.md` and issue 4 speaks of. */
export const perSecond = 2_300

/** How long a request holds what it was given (ms). */
export const holdMs = 100

const tenants = Array.from({ length: 32 }, (_, index) => `tenant-${index}`)

/** Who asks: 32 tenants with 8 users each. */
export const callers: ReadonlyArray<CallerType> = tenants.flatMap((tenant) =>
  Array.from({ length: 8 }, (_, user) => Caller.make(tenant, { user: `user-${user}`, ip: `10.0.0.${user}` }))
)

// So wide that nobody is refused: what is measured is the way of a request that goes on.
const wide = { requestsPerMinute: 100_000_000, tokensPerMinute: 1_000_000_000_000 }
const rateLimits: RateLimits = { user: wide, ip: wide, tenant: wide, global: wide, premiumFactor: 2 }
const leases = { standard: 100_000, ttlMs: 15_000 }
const cap = { microUsd: 1_000_000_000_000 }
const budgets = { ...BudgetDomain.defaults, tenant: { day: cap, month: cap } }

/** The guards that a request passes. */
export type Guards = Budget | Leases | RateLimiter

/** Scripts sent: those that a request waits for, and all others. */
export interface Sent {
  awaited: number
  behind: number
}

const counting = (sent: Sent): Layer.Layer<RedisClient, never, RedisClient> =>
  Layer.effect(
    RedisClient,
    Effect.map(RedisClient, (client) => ({
      ...client,
      runUnsafe: (script, keys, args, done, other) => {
        if (script === Lua.admit) sent.awaited++
        else sent.behind++
        client.runUnsafe(script, keys, args, done, other)
      }
    }))
  )

/** Over Redis. The time it has is long: a machine that is busy elsewhere must not send anything twice. */
export const overRedis = (redisUrl: string, sent: Sent): Layer.Layer<Guards> =>
  Stores.layer({
    redisUrl,
    prefix: "bench",
    processes: 1,
    timeoutMs: 5_000,
    leases,
    rateLimits,
    budgets,
    faults: counting(sent)
  })

/** In this process. */
export const inMemory: Layer.Layer<Guards> = Layer.mergeAll(
  LeasesMemory.layer(leases),
  RateLimiterMemory.layer(rateLimits),
  BudgetMemory.layer(budgets)
).pipe(
  Layer.provide(BudgetCapsConfig.layer(budgets)),
  Layer.provide(LedgerMemory.layer),
  Layer.provide(Layer.succeed(Audit, { record: () => Effect.void, list: () => Effect.succeed([]) }))
)
