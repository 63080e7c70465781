/**
 * Rate limits in the memory of this process.
 *
 * Semantics: each key (a user within its tenant, an IP, a tenant, everything)
 * has a bucket that holds one full minute's limit and refills evenly at
 * limit / 60 a second. So a burst never passes more than the limit, and a key
 * that always asks passes the limit each minute on average; right after a long
 * silence a minute may see the burst and the refill, which is less than twice
 * the limit.
 *
 * Algorithm: GCRA (ATM Forum TM 4.0, as in redis-cell and brandur/throttled):
 * a bucket is one number, the time at which it will be full again, and a
 * charge of n moves that time by n x (window / limit). Check all dimensions,
 * then charge all, in one synchronous step.
 *
 * An IP is the same bucket whichever tenant it belongs to. Premium callers'
 * limits are multiplied, which makes each charge smaller on the same bucket.
 */
import { Clock, Effect, Layer } from "effect"
import type { Caller, Plan } from "../../domain/caller.ts"
import { RateLimitError } from "../../domain/errors.ts"
import type { LimitUnit } from "../../domain/errors.ts"
import type { Limit, RateLimits } from "../../domain/policy.ts"
import * as Guard from "../../services/guard.ts"
import { RateLimiter } from "../../services/rate-limiter.ts"
import * as RateLimiterPort from "../../services/rate-limiter.ts"
import type { LimitState, Reservation } from "../../services/rate-limiter.ts"
import { Buckets } from "./buckets.ts"
import type { Bucket } from "./buckets.ts"

/** All limits are per minute. */
const windowMs = 60_000

/** Sums of fractions of a ms are off in the last bits; a thousandth of a ms decides nothing. */
const toleranceMs = 1e-3

/** One limited unit of a dimension: `costMs` is how far one request or token moves the bucket, which holds `burstMs` of them. */
interface Gauge {
  readonly limit: number
  readonly costMs: number
  readonly burstMs: number
}

/**
 * A part of the limits, for one process of several that cannot ask each other.
 *
 * - `share`: of each limit, 0 to 1
 * - `burstMs`: a bucket holds so much of its limit: less than a minute's, for all processes begin with full ones
 */
export interface Part {
  readonly share: () => number
  readonly burstMs: number
}

const whole: Part = { share: () => 1, burstMs: windowMs }

interface Rule {
  readonly dimension: LimitState["dimension"]
  readonly requests: Gauge | undefined
  readonly tokens: Gauge | undefined
}

const rulesOf = (limits: RateLimits, factor: number, share: number, burstMs: number): ReadonlyArray<Rule> => {
  const gauge = (perMinute: number | undefined, times: number): Gauge | undefined => {
    if (perMinute === undefined) return undefined
    const limit = Math.floor(perMinute * times)
    return { limit, costMs: windowMs / (limit * share), burstMs }
  }
  const rule = (dimension: Rule["dimension"], limit: Limit, times: number): Rule => ({
    dimension,
    requests: gauge(limit.requestsPerMinute, times),
    tokens: gauge(limit.tokensPerMinute, times)
  })
  return [
    rule("user", limits.user, factor),
    rule("ip", limits.ip, factor),
    rule("tenant", limits.tenant, factor),
    rule("global", limits.global, 1)
  ].filter(({ requests, tokens }) => requests !== undefined || tokens !== undefined)
}

/** A taken charge on one bucket. */
interface Charge {
  readonly bucket: Bucket
  readonly rule: Rule
}

const stateOf = (
  rule: Rule,
  unit: LimitUnit,
  { burstMs, costMs, limit }: Gauge,
  fullAt: number,
  now: number
): LimitState => {
  const resetMs = Math.max(0, fullAt - now)
  return {
    dimension: rule.dimension,
    unit,
    limit,
    remaining: Math.max(0, Math.floor((burstMs - resetMs + toleranceMs) / costMs)),
    windowMs,
    resetMs
  }
}

/** The charges of one request; settled or given back, whichever comes first. */
class Held implements Reservation {
  open = true
  readonly states: ReadonlyArray<LimitState>
  private readonly charges: ReadonlyArray<Charge>
  private readonly tokens: number
  private readonly now: () => number

  constructor(states: ReadonlyArray<LimitState>, charges: ReadonlyArray<Charge>, tokens: number, now: () => number) {
    this.states = states
    this.charges = charges
    this.tokens = tokens
    this.now = now
  }

  settle(tokens: number): void {
    if (!this.open) return
    const used = tokens > 0 ? tokens : 0
    const now = this.now()
    this.open = false
    const more = used - this.tokens
    for (const { bucket, rule } of this.charges) {
      bucket.held--
      if (rule.tokens === undefined || more === 0) continue
      // What was used beyond the estimate is charged as of now; what was not used goes back to when it was taken.
      const from = more > 0 ? Math.max(bucket.tokensFullAt, now) : bucket.tokensFullAt
      bucket.tokensFullAt = from + more * rule.tokens.costMs
    }
  }

  release(): void {
    if (!this.open) return
    this.open = false
    for (const { bucket, rule } of this.charges) {
      bucket.held--
      if (rule.requests !== undefined) bucket.requestsFullAt -= rule.requests.costMs
      if (rule.tokens !== undefined) bucket.tokensFullAt -= this.tokens * rule.tokens.costMs
    }
  }
}

/** How long until `count` fit, `Infinity` for never, 0 for now. */
const waitMs = (gauge: Gauge, count: number, fullAt: number, now: number): number => {
  if (count > gauge.limit) return Infinity
  const cost = count * gauge.costMs
  // What is more than a part holds waits until the part is full.
  const wait = Math.max(fullAt, now) + cost - now - Math.max(gauge.burstMs, gauge.burstMs < windowMs ? cost : 0)
  return wait <= toleranceMs ? 0 : wait
}

const refuse = (
  requestId: string | undefined,
  charges: ReadonlyArray<Charge>,
  tokens: number,
  at: number
): RateLimitError => {
  let worst: { rule: Rule; unit: LimitUnit; gauge: Gauge; asked: number; wait: number } | undefined
  const consider = (rule: Rule, unit: LimitUnit, gauge: Gauge | undefined, asked: number, fullAt: number) => {
    if (gauge === undefined) return
    const wait = waitMs(gauge, asked, fullAt, at)
    if (worst === undefined || wait > worst.wait) worst = { rule, unit, gauge, asked, wait }
  }
  for (const { bucket, rule } of charges) {
    consider(rule, "requests", rule.requests, 1, bucket.requestsFullAt)
    consider(rule, "tokens", rule.tokens, tokens, bucket.tokensFullAt)
  }
  // A refusal follows a charge that did not fit, so there is one.
  const { asked, gauge, rule, unit, wait } = worst!
  const where = { dimension: rule.dimension, unit, limit: gauge.limit }
  return new RateLimitError({
    ...Guard.withRequestId(requestId),
    reason:
      wait === Infinity
        ? { _tag: "NeverFits", ...where, asked }
        : { _tag: "Exceeded", ...where, windowMs, retryAfterMs: wait }
  })
}

/** A limiter over the current Clock. Keys whose buckets are full again are forgotten as others are used. */
export const make = Effect.fnUntraced(function* (limits: RateLimits, { burstMs, share }: Part = whole) {
  const clock = yield* Clock.Clock
  const startMs = clock.currentTimeMillisUnsafe()
  // Relative to the start, so that fractions of a ms keep their precision.
  const now = () => clock.currentTimeMillisUnsafe() - startMs
  const rulesFor = (part: number): Record<Plan, ReadonlyArray<Rule>> => ({
    standard: rulesOf(limits, 1, part, burstMs),
    premium: rulesOf(limits, limits.premiumFactor, part, burstMs)
  })
  let part = share()
  let rules = rulesFor(part)
  const buckets = new Buckets()

  const reserveUnsafe =
    (caller: Caller, estimate: number) =>
    (_restore: Guard.Restore, requestId: string | undefined): Effect.Effect<Reservation, RateLimitError> => {
      const at = now()
      const tokens = estimate > 0 ? estimate : 0
      const charges: Array<Charge> = []
      buckets.sweep(at)
      let fits = true
      if (share() !== part) {
        part = share()
        rules = rulesFor(part)
      }
      for (const rule of rules[caller.plan]) {
        const bucket = buckets.of(rule.dimension, caller)
        if (bucket === undefined) continue
        charges.push({ bucket, rule })
        if (rule.requests !== undefined && waitMs(rule.requests, 1, bucket.requestsFullAt, at) > 0) fits = false
        if (rule.tokens !== undefined && waitMs(rule.tokens, tokens, bucket.tokensFullAt, at) > 0) fits = false
      }
      if (!fits) return Effect.fail(Guard.refusal(() => refuse(requestId, charges, tokens, at)))

      const states: Array<LimitState> = []
      for (const { bucket, rule } of charges) {
        bucket.held++
        if (rule.requests !== undefined) {
          bucket.requestsFullAt = Math.max(bucket.requestsFullAt, at) + rule.requests.costMs
          states.push(stateOf(rule, "requests", rule.requests, bucket.requestsFullAt, at))
        }
        if (rule.tokens !== undefined) {
          bucket.tokensFullAt = Math.max(bucket.tokensFullAt, at) + tokens * rule.tokens.costMs
          states.push(stateOf(rule, "tokens", rule.tokens, bucket.tokensFullAt, at))
        }
      }
      return Effect.succeed(new Held(states, charges, tokens, now))
    }

  return {
    service: RateLimiterPort.make(reserveUnsafe),
    size: () => buckets.size
  }
})

/** Limits kept in this process alone. */
export const layer = (limits: RateLimits): Layer.Layer<RateLimiter> =>
  Layer.effect(
    RateLimiter,
    Effect.map(make(limits), ({ service }) => service)
  )
