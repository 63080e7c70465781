/**
 * Rate limits for all processes together, in Redis. The algorithm is that of
 * `memory.ts` (GCRA), by the server's clock; all dimensions of a request are
 * checked and charged in one script, together with its lease and its budget
 * (`admission/`).
 *
 * While Redis is away, limits run on this process's share of them.
 */
import { Effect, Layer } from "effect"
import type { Caller, Plan } from "../../domain/caller.ts"
import { RateLimitError } from "../../domain/errors.ts"
import type { LimitUnit } from "../../domain/errors.ts"
import type { Limit, RateLimits } from "../../domain/policy.ts"
import * as Guard from "../../services/guard.ts"
import { RateLimiter } from "../../services/rate-limiter.ts"
import * as RateLimiterPort from "../../services/rate-limiter.ts"
import type { LimitState, Reservation } from "../../services/rate-limiter.ts"
import { Admission } from "../admission/admission.ts"
import type { Outcome, Part } from "../admission/admission.ts"
import type { Fleet } from "../admission/fleet.ts"
import type { Settlements } from "../admission/settlements.ts"
import * as Memory from "./memory.ts"

/** All limits are per minute. */
const windowMs = 60_000
const windowUs = windowMs * 1_000

/** A bucket of a share holds a tenth of a minute: when Redis goes, all processes begin with full ones. */
const shareBurstMs = 6_000

type Dimension = LimitState["dimension"]

/** One limited unit of a dimension. */
interface Gauge {
  readonly dimension: Dimension
  readonly unit: LimitUnit
  readonly limit: number
}

const gaugesIn = (dimension: Dimension, { requestsPerMinute, tokensPerMinute }: Limit, times: number) => [
  ...(requestsPerMinute === undefined
    ? []
    : [{ dimension, unit: "requests" as const, limit: Math.floor(requestsPerMinute * times) }]),
  ...(tokensPerMinute === undefined
    ? []
    : [{ dimension, unit: "tokens" as const, limit: Math.floor(tokensPerMinute * times) }])
]

const gaugesOf = (limits: RateLimits, factor: number): ReadonlyArray<Gauge> => {
  return [
    ...gaugesIn("user", limits.user, factor),
    ...gaugesIn("ip", limits.ip, factor),
    ...gaugesIn("tenant", limits.tenant, factor),
    ...gaugesIn("global", limits.global, 1)
  ]
}

/** The bucket's key; ids are told apart by their length, so that no choice of them lets two tenants share one. */
const keyOf = ({ dimension, unit }: Gauge, caller: Caller): string | undefined => {
  const of = `rl:${unit === "requests" ? "r" : "t"}:`
  switch (dimension) {
    case "global":
      return `${of}g`
    case "tenant":
      return `${of}t:${caller.tenant}`
    case "ip":
      return caller.ip === undefined ? undefined : `${of}i:${caller.ip}`
    case "user":
      return caller.user === undefined ? undefined : `${of}u:${caller.tenant.length}:${caller.tenant}:${caller.user}`
  }
}

/** How far `count` of a gauge move its bucket, in µs. */
const costUs = ({ limit }: Gauge, count: number): number => Math.floor((count * windowUs) / limit)

interface Charge {
  readonly gauge: Gauge
  readonly key: string
}

/** The charges of one request: settled or given back, whichever comes first. */
class Held implements Reservation {
  readonly states: ReadonlyArray<LimitState>
  private open = true
  private readonly charges: ReadonlyArray<Charge>
  private readonly tokens: number
  private readonly settlements: Settlements

  constructor(
    states: ReadonlyArray<LimitState>,
    charges: ReadonlyArray<Charge>,
    tokens: number,
    settlements: Settlements
  ) {
    this.states = states
    this.charges = charges
    this.tokens = tokens
    this.settlements = settlements
  }

  settle(tokens: number): void {
    if (!this.open) return
    this.open = false
    const used = tokens > 0 ? tokens : 0
    for (const { gauge, key } of this.charges) {
      if (gauge.unit !== "tokens") continue
      const moreUs = costUs(gauge, used) - costUs(gauge, this.tokens)
      if (moreUs !== 0) this.settlements.push([moreUs > 0 ? "+" : "-", key, Math.abs(moreUs)])
    }
  }

  release(): void {
    if (!this.open) return
    this.open = false
    giveBack(this.settlements, this.charges, this.tokens)
  }
}

const giveBack = (settlements: Settlements, charges: ReadonlyArray<Charge>, tokens: number): void => {
  for (const { gauge, key } of charges) {
    settlements.push(["-", key, costUs(gauge, gauge.unit === "requests" ? 1 : tokens)])
  }
}

/** Nothing was taken, for another part of the request's admission was refused. */
const nothing: Reservation = { states: [], settle: () => {}, release: () => {} }

/** Limits over the admission of `Admission`; `fleet` says which part is this process's own while Redis is away. */
export const make = Effect.fnUntraced(function* (limits: RateLimits, fleet: Fleet) {
  const admission = yield* Admission
  const { service: local } = yield* Memory.make(limits, { share: fleet.share, burstMs: shareBurstMs })
  const gauges: Record<Plan, ReadonlyArray<Gauge>> = {
    standard: gaugesOf(limits, 1),
    premium: gaugesOf(limits, limits.premiumFactor)
  }

  const exceeded = (
    requestId: string | undefined,
    { dimension, limit, unit }: Gauge,
    rest: { readonly asked: number } | { readonly retryAfterMs: number }
  ): RateLimitError => {
    const where = { dimension, unit, limit }
    return Guard.refusal(
      () =>
        new RateLimitError({
          ...Guard.withRequestId(requestId),
          reason:
            "asked" in rest
              ? { _tag: "NeverFits", ...where, asked: rest.asked }
              : { _tag: "Exceeded", ...where, windowMs, retryAfterMs: rest.retryAfterMs }
        })
    )
  }

  const reserveUnsafe =
    (caller: Caller, estimate: number) =>
    (restore: Guard.Restore, requestId: string | undefined): Effect.Effect<Reservation, RateLimitError> => {
      const tokens = estimate > 0 ? Math.ceil(estimate) : 0
      const charges: Array<Charge> = []
      const args: Array<string | number> = ["L", 0]
      for (const gauge of gauges[caller.plan]) {
        const key = keyOf(gauge, caller)
        if (key === undefined) continue
        const asked = gauge.unit === "requests" ? 1 : tokens
        if (asked > gauge.limit) return Effect.fail(exceeded(requestId, gauge, { asked }))
        charges.push({ gauge, key })
        args.push(key, costUs(gauge, asked), windowUs)
      }
      if (charges.length === 0) return Effect.succeed(new Held([], [], 0, admission.settlements))
      args[1] = charges.length
      const part: Part = {
        section: "L",
        args,
        size: charges.length,
        giveBack: (settlements) => giveBack(settlements, charges, tokens)
      }
      const decide = (outcome: Outcome): Effect.Effect<Reservation, RateLimitError> => {
        switch (outcome._tag) {
          case "Admitted": {
            const states = charges.map(({ gauge }, index) => stateOf(gauge, outcome.values[index] ?? 0))
            return Effect.succeed(new Held(states, charges, tokens, admission.settlements))
          }
          case "Refused": {
            const [index = 1, waitUs = 0] = outcome.values
            const { gauge } = charges[index - 1] ?? charges[0]!
            return Effect.fail(exceeded(requestId, gauge, { retryAfterMs: waitUs / 1_000 }))
          }
          case "Else":
            return Effect.succeed(nothing)
          case "Away":
            return local.reserveUnsafe(caller, tokens)(restore, requestId)
        }
      }
      return Effect.flatMap(restore(admission.join(requestId, caller, part)), decide)
    }

  return RateLimiterPort.make(reserveUnsafe)
})

const stateOf = ({ dimension, limit, unit }: Gauge, fullInUs: number): LimitState => {
  const resetMs = Math.max(0, fullInUs / 1_000)
  const remaining = Math.max(0, Math.floor(((windowMs - resetMs) * limit) / windowMs + 1e-6))
  return { dimension, unit, limit, remaining, windowMs, resetMs }
}

/** {@link make} as a layer. */
export const layer = (limits: RateLimits, fleet: Fleet): Layer.Layer<RateLimiter, never, Admission> =>
  Layer.effect(RateLimiter, make(limits, fleet))
