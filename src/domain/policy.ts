/**
 * Policy values: every number a guard works by, with the defaults that Ballast
 * ships. All durations are milliseconds.
 */
import { Schema } from "effect"
import * as Brownout from "./brownout.ts"
import * as Budget from "./budget.ts"

const Millis = Schema.Finite.check(Schema.isGreaterThan(0))
const Ratio = Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0), Schema.isLessThanOrEqualTo(1))
const atLeast = (min: number) => Schema.Int.check(Schema.isGreaterThanOrEqualTo(min))
const field = <S extends Schema.Top>(schema: S, description: string) => schema.annotate({ description })

/** How long anything may take. */
export const Timeouts = Schema.Struct({
  hardMs: field(
    Millis,
    "hard limit of a whole answer, or of a stream's way to its first token: queue, retries and fallbacks included"
  ),
  nonCriticalMs: field(Millis, "the same for callers whose feature is marked non-critical"),
  firstTokenMs: field(
    Millis,
    "one attempt's limit from sending the request to its first token (streams) or its answer"
  ),
  idleMs: field(Millis, "longest silence between two chunks of a stream"),
  streamMs: field(Millis, "longest life of a stream, from its request to its last chunk"),
  connectMs: field(Millis, "longest wait for a connection to the provider")
})
export interface Timeouts extends Schema.Schema.Type<typeof Timeouts> {}

/** Requests and tokens a minute for one dimension; a missing number is no limit. */
export const Limit = Schema.Struct({
  requestsPerMinute: Schema.optionalKey(field(atLeast(1), "requests in any minute")),
  tokensPerMinute: Schema.optionalKey(field(atLeast(1), "input and output tokens in any minute"))
})
export interface Limit extends Schema.Schema.Type<typeof Limit> {}

/** The limits of one caller, checked together in one step. */
export const RateLimits = Schema.Struct({
  user: field(Limit, "each user of a tenant"),
  ip: field(Limit, "each client address"),
  tenant: field(Limit, "each tenant"),
  global: field(Limit, "this deployment as a whole"),
  premiumFactor: field(
    Schema.Finite.check(Schema.isGreaterThanOrEqualTo(1)),
    "premium callers get user, ip and tenant limits times this"
  )
})
export interface RateLimits extends Schema.Schema.Type<typeof RateLimits> {}

/** Calls of a tenant that may be in flight at once, over all processes; a missing number is no limit. */
export const LeasePolicy = Schema.Struct({
  standard: Schema.optionalKey(field(atLeast(1), "calls in flight of a standard tenant, over all processes")),
  premium: Schema.optionalKey(field(atLeast(1), "calls in flight of a premium tenant, over all processes")),
  ttlMs: field(
    Schema.Finite.check(Schema.isGreaterThanOrEqualTo(300)),
    "the place of a process that vanished is free again after so long; renewed at a third of it"
  )
})
export interface LeasePolicy extends Schema.Schema.Type<typeof LeasePolicy> {}

/** Shares of the places that belong to each priority; what one does not use, the others borrow. */
export const PriorityShares = Schema.Struct({
  critical: field(Ratio, "share of the places that belongs to critical features"),
  standard: field(Ratio, "share of the places that belongs to ordinary features"),
  background: field(Ratio, "share of the places that belongs to background work")
})
export interface PriorityShares extends Schema.Schema.Type<typeof PriorityShares> {}

/** The bounded queue before a provider, and the limit it guards. */
export const BulkheadPolicy = Schema.Struct({
  maxInFlight: field(atLeast(1), "most calls in flight for each provider and process, streams included"),
  minInFlight: field(atLeast(1), "an adaptive limit never falls below this"),
  adaptive: field(
    Schema.Boolean,
    "learn the limit, between minInFlight and maxInFlight, from first-token times, token times and refusals"
  ),
  maxQueue: field(atLeast(0), "callers that may wait for a place"),
  maxWaitMs: field(Millis, "longest wait for a place"),
  shares: PriorityShares.annotate({
    description: "how the places are divided among priorities while all of them wait"
  }),
  premiumWeight: field(
    Schema.Finite.check(Schema.isGreaterThanOrEqualTo(1)),
    "a premium tenant gets this many times the share of a standard one while both wait"
  )
})
export interface BulkheadPolicy extends Schema.Schema.Type<typeof BulkheadPolicy> {}

/** A provider's own rate limit, and how near to it calls may come; a missing number is not known. */
export const PacingPolicy = Schema.Struct({
  requestsPerMinute: Schema.optionalKey(field(atLeast(1), "requests the provider takes in a minute")),
  tokensPerMinute: Schema.optionalKey(field(atLeast(1), "input and output tokens it takes in a minute")),
  burstMs: field(
    Millis,
    "how much of the limit may be saved up and leave at once; less for a provider that holds its limit each second"
  ),
  share: field(
    Schema.Finite.check(Schema.isGreaterThan(0), Schema.isLessThanOrEqualTo(1)),
    "part of the limit that is used"
  ),
  perModel: field(Schema.Boolean, "whether each model of the provider has these limits for itself"),
  learn: field(Schema.Boolean, "where no limit is named here, keep to the one that the provider's headers name"),
  maxQueue: field(atLeast(0), "calls with a place that may wait for room in the limit")
})
export interface PacingPolicy extends Schema.Schema.Type<typeof PacingPolicy> {}

/** When a breaker opens and how it closes again. */
export const BreakerPolicy = Schema.Struct({
  windowMs: field(Millis, "outcomes older than this are forgotten"),
  minimumCalls: field(atLeast(1), "calls in the window before any rate counts"),
  failureRate: field(Ratio, "share of failures that opens the breaker"),
  slowRate: field(Ratio, "share of slow first tokens, or of slow token gaps, that opens the breaker"),
  slowMs: field(Millis, "a first token later than this is slow, whatever is usual"),
  slowGapMs: field(Millis, "a time between tokens longer than this is slow, whatever is usual"),
  slowFactor: field(
    Schema.Finite.check(Schema.isGreaterThan(1)),
    "a first token, or a time between tokens, this many times what is usual is slow"
  ),
  openMs: field(Millis, "how long an open breaker refuses before it probes"),
  maxOpenMs: field(Millis, "most of the open time, which doubles with each failed probe"),
  probes: field(atLeast(1), "calls let through to probe; as many successes close the breaker"),
  maxOpenShare: field(
    Ratio,
    "most of the candidates in use that may be open at once; one beyond that is probed without a pause (panic threshold)"
  )
})
export interface BreakerPolicy extends Schema.Schema.Type<typeof BreakerPolicy> {}

/** How often, when and how much may be retried. */
export const RetryPolicyValues = Schema.Struct({
  maxRetries: field(atLeast(0), "retries of one request on one candidate"),
  baseMs: field(Millis, "full jitter draws from 0 to baseMs x 2^retry"),
  capMs: field(Millis, "most of that range"),
  budgetRatio: field(Ratio, "retries earned by each success"),
  budgetMax: field(atLeast(0), "most retries saved up, for the whole fleet; a process has at least 10 of them"),
  budgetConcurrent: field(Ratio, "share of the calls in flight that may be retries"),
  budgetMinConcurrent: field(
    atLeast(0),
    "retries in flight that are allowed whatever the share, for the whole fleet; a process has at least 10 of them"
  ),
  processes: field(atLeast(1), "processes of the fleet, which share budgetMax and budgetMinConcurrent")
})
export interface RetryPolicyValues extends Schema.Schema.Type<typeof RetryPolicyValues> {}

/** A second call for a first token that is late. */
export const HedgePolicy = Schema.Struct({
  enabled: field(Schema.Boolean, "whether a late first token is asked for a second time"),
  quantile: field(Ratio, "a first token is late when it takes longer than this share of the recent ones"),
  minimumSamples: field(atLeast(1), "first tokens in the window before any is late"),
  windowMs: field(Millis, "first tokens older than this are forgotten"),
  maxExtraCost: field(Ratio, "most that hedges may add to the tokens billed, as a share of them"),
  maxLateShare: field(
    Ratio,
    "when more of the recent calls than this are late, all is slow, and nothing is hedged; more than 1 - quantile"
  )
})
export interface HedgePolicy extends Schema.Schema.Type<typeof HedgePolicy> {}

/** All policies together. */
export const Policies = Schema.Struct({
  timeouts: Timeouts,
  rateLimits: RateLimits,
  leases: LeasePolicy,
  budgets: Budget.BudgetPolicy,
  bulkhead: BulkheadPolicy,
  pacing: PacingPolicy,
  breaker: BreakerPolicy,
  retry: RetryPolicyValues,
  hedge: HedgePolicy,
  brownout: Brownout.BrownoutPolicy
})
export interface Policies extends Schema.Schema.Type<typeof Policies> {}

/**
 * The shipped defaults. Sources: breaker window and rates between resilience4j's
 * and Hystrix' defaults, scaled to the lower call rates of LLM traffic; retry
 * budget from gRPC proposal A6 (success-funded, 10 %) with Envoy's 20 % cap on
 * concurrent retries.
 */
export const defaults: Policies = {
  timeouts: {
    hardMs: 8_000,
    nonCriticalMs: 1_500,
    firstTokenMs: 6_000,
    idleMs: 15_000,
    streamMs: 300_000,
    connectMs: 2_000
  },
  rateLimits: {
    user: { requestsPerMinute: 100 },
    ip: { requestsPerMinute: 200 },
    tenant: {},
    global: { requestsPerMinute: 5_000 },
    premiumFactor: 2
  },
  leases: { ttlMs: 15_000 },
  budgets: Budget.defaults,
  bulkhead: {
    maxInFlight: 8,
    minInFlight: 1,
    adaptive: false,
    maxQueue: 64,
    maxWaitMs: 4_000,
    shares: { critical: 0.6, standard: 0.3, background: 0.1 },
    premiumWeight: 2
  },
  pacing: { burstMs: 60_000, share: 0.98, perModel: false, learn: true, maxQueue: 1_000 },
  breaker: {
    windowMs: 10_000,
    minimumCalls: 10,
    failureRate: 0.5,
    slowRate: 0.5,
    slowMs: 4_000,
    slowGapMs: 1_000,
    slowFactor: 4,
    openMs: 5_000,
    maxOpenMs: 60_000,
    probes: 3,
    maxOpenShare: 0.67
  },
  retry: {
    maxRetries: 2,
    baseMs: 100,
    capMs: 5_000,
    budgetRatio: 0.1,
    budgetMax: 20,
    budgetConcurrent: 0.2,
    budgetMinConcurrent: 20,
    processes: 1
  },
  hedge: {
    enabled: false,
    quantile: 0.95,
    minimumSamples: 100,
    windowMs: 60_000,
    maxExtraCost: 0.025,
    maxLateShare: 0.15
  },
  brownout: Brownout.defaults
}
