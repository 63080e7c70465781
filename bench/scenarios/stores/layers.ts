/** The real guards of a process over the fleet's stores, as a server is built from them, for the processes of scenarios. */
import { Effect, Layer, Redacted } from "effect"
import * as BudgetDomain from "../../../src/domain/budget.ts"
import type { BudgetPolicy } from "../../../src/domain/budget.ts"
import { defaults } from "../../../src/domain/policy.ts"
import type { LeasePolicy, RateLimits } from "../../../src/domain/policy.ts"
import { nothing } from "../../../src/domain/ledger.ts"
import * as Admission from "../../../src/layers/admission/admission.ts"
import { Fleet } from "../../../src/layers/admission/fleet.ts"
import * as BudgetRedis from "../../../src/layers/budget/redis.ts"
import * as BudgetCapsConfig from "../../../src/layers/budget-caps/config.ts"
import * as LeasesRedis from "../../../src/layers/leases/redis.ts"
import * as Outbox from "../../../src/layers/ledger/outbox.ts"
import * as LedgerPostgres from "../../../src/layers/ledger/postgres.ts"
import * as Postgres from "../../../src/layers/postgres/client.ts"
import * as Migrate from "../../../src/layers/postgres/migrate.ts"
import * as RateLimiterRedis from "../../../src/layers/rate-limiter/redis.ts"
import * as RedisClient from "../../../src/layers/redis/client.ts"
import * as StoreHealthMemory from "../../../src/layers/store-health/memory.ts"
import * as Wheel from "../../../src/layers/timers/wheel.ts"
import { Audit } from "../../../src/services/audit.ts"
import type { Budget } from "../../../src/services/budget.ts"
import type { Leases } from "../../../src/services/leases.ts"
import { Ledger } from "../../../src/services/ledger.ts"
import type { RateLimiter } from "../../../src/services/rate-limiter.ts"
import type { StoreHealth } from "../../../src/services/store-health.ts"
import type { Timers } from "../../../src/services/timers.ts"

/** What differs between scenarios; the rest is as shipped. */
export interface Options {
  readonly redisUrl: string
  readonly prefix: string
  readonly processes: number
  readonly leases?: LeasePolicy
  readonly rateLimits?: RateLimits
  readonly budgets?: Partial<BudgetPolicy>
  /** Longest wait for Redis (ms). */
  readonly timeoutMs?: number
  /** Between the client and those who use it. */
  readonly faults?: Layer.Layer<RedisClient.RedisClient, never, RedisClient.RedisClient | StoreHealth>
  /** The database with the books; without it nothing is written down. */
  readonly postgresUrl?: string
  /** What a killed process was writing to the books is taken over after so long (ms); as shipped where missing. */
  readonly claimMs?: number
}

/** What a scenario's process may ask for. */
export type Stores = Budget | Leases | RateLimiter | RedisClient.RedisClient | Ledger | Outbox.Outbox | StoreHealth

/** As shipped. */
const shipped = { timeoutMs: 25, safety: 0.8 }

const noLimits: RateLimits = { user: {}, ip: {}, tenant: {}, global: {}, premiumFactor: 2 }

/** Books in which nothing is ever found, and a stream that nobody writes to. */
const noBooks = Layer.mergeAll(
  Layer.succeed(Ledger, {
    append: () => true,
    write: () => Effect.void,
    sum: () => Effect.succeed(nothing),
    pending: () => 0,
    flush: Effect.void
  }),
  Layer.succeed(Outbox.Outbox, { pending: Effect.succeed(0), drained: Effect.void })
)

/** Books in Postgres, and the way there from Redis. The schema is made where it is not there. */
const books = (
  url: string,
  claimMs: number | undefined
): Layer.Layer<Ledger | Outbox.Outbox, never, RedisClient.RedisClient | StoreHealth | Timers> =>
  Outbox.layer({ claimMs }).pipe(
    Layer.provideMerge(LedgerPostgres.layer()),
    Layer.provide(Layer.effectDiscard(Migrate.migrate())),
    Layer.provide(Postgres.layer({ kind: "server", url: Redacted.make(url), maxConnections: 2 })),
    // Without books there is nothing to compare with: the run fails.
    Layer.orDie
  )

const noAudit = Layer.succeed(Audit, { record: () => Effect.void, list: () => Effect.succeed([]) })

/** All of it, over one client. */
export const layer = (options: Options): Layer.Layer<Stores> => {
  const { prefix, processes, redisUrl } = options
  const timeoutMs = options.timeoutMs ?? shipped.timeoutMs
  const budgets = { ...BudgetDomain.defaults, ...options.budgets }
  const fleet = new Fleet(processes, shipped.safety)
  const client = RedisClient.layer({
    url: Redacted.make(redisUrl),
    cluster: false,
    prefix,
    timeoutMs,
    safety: shipped.safety
  })
  const redis = options.faults === undefined ? client : Layer.provide(options.faults, client)
  const kept = options.postgresUrl === undefined ? noBooks : books(options.postgresUrl, options.claimMs)
  const guards = Layer.mergeAll(
    LeasesRedis.layer(options.leases ?? defaults.leases, fleet),
    RateLimiterRedis.layer(options.rateLimits ?? noLimits, fleet),
    BudgetRedis.layer(budgets)
  )
  return guards.pipe(
    Layer.provide(Admission.layer(options.postgresUrl !== undefined)),
    Layer.provide(Layer.provide(BudgetCapsConfig.layer(budgets), noAudit)),
    Layer.provideMerge(kept),
    Layer.provideMerge(redis),
    Layer.provideMerge(StoreHealthMemory.layer),
    Layer.provide(Wheel.layer)
  )
}
