/**
 * Where the room for calls comes from: a limit on requests, on tokens, or on
 * both. The queue (`cell.ts`) asks it; what stands behind it is this process
 * alone (here), or what the fleet shares (`fleet.ts`).
 */
import type { LimitUnit } from "../../domain/errors.ts"
import type { PacingPolicy } from "../../domain/policy.ts"
import { Bucket } from "./bucket.ts"

/** A limit by its rates; what is `undefined` has none. */
export interface Rates {
  /** In units a millisecond. */
  readonly requests: number | undefined
  readonly tokens: number | undefined
  /** How much of them may be saved up, in ms. */
  readonly burstMs: number
}

/** How long something will take to get, in ms, and what is short. */
export interface Wait {
  readonly ms: number
  readonly unit: LimitUnit
}

export interface Supply {
  /** Take room for one request of `tokens`, if it is there. */
  readonly take: (now: number, tokens: number) => boolean
  /** Until there is room for `aheadRequests` of `aheadTokens` together, and then for one of `tokens`. */
  readonly wait: (now: number, tokens: number, aheadRequests: number, aheadTokens: number) => Wait
  /** Put room back, or take more of it (less than nothing). */
  readonly give: (now: number, requests: number, tokens: number) => void
  /** How much of the limit a request takes, in ms of its refill. */
  readonly costMs: (tokens: number) => number
  /** The provider refused a call for which we saw room, and wants `pauseMs` of patience. */
  readonly limited: (now: number, pauseMs: number) => void
  /** What is there. */
  readonly level: (unit: LimitUnit, now: number) => number | undefined
}

/** The rates of a policy for one of `processes`; `undefined` where it names none. */
export const ratesOf = (
  { burstMs, requestsPerMinute, share, tokensPerMinute }: Omit<PacingPolicy, "learn" | "perModel" | "maxQueue">,
  processes = 1
): Rates | undefined => {
  if (requestsPerMinute === undefined && tokensPerMinute === undefined) return undefined
  const perMs = (perMinute: number | undefined) =>
    perMinute === undefined ? undefined : (perMinute * share) / (60_000 * processes)
  return { requests: perMs(requestsPerMinute), tokens: perMs(tokensPerMinute), burstMs }
}

/** After a refusal that we did not expect, the provider's bucket is believed to be this part of what it was, and then to grow again. */
const shrink = 0.5
const growPerMs = 0.1 / 60_000

/** The room of one process. */
export class Local implements Supply {
  private readonly rates: Rates
  private readonly requests: Bucket | undefined
  private readonly tokens: Bucket | undefined
  /** Part of the burst that is believed in. */
  private part = 1
  private partAt = 0

  /** Full at `now`. */
  constructor(rates: Rates, now: number) {
    this.rates = rates
    const bucket = (perMs: number | undefined) =>
      perMs === undefined ? undefined : new Bucket(perMs, perMs * rates.burstMs, now)
    this.requests = bucket(rates.requests)
    this.tokens = bucket(rates.tokens)
  }

  take(now: number, tokens: number): boolean {
    if (this.wait(now, tokens, 0, 0).ms > 0) return false
    this.give(now, -1, -tokens)
    return true
  }

  wait(now: number, tokens: number, aheadRequests: number, aheadTokens: number): Wait {
    this.grow(now)
    const forRequests = this.requests?.waitMs(now, 1, aheadRequests) ?? 0
    const forTokens = this.tokens?.waitMs(now, tokens, aheadTokens) ?? 0
    return forTokens > forRequests ? { ms: forTokens, unit: "tokens" } : { ms: forRequests, unit: "requests" }
  }

  give(now: number, requests: number, tokens: number): void {
    this.requests?.take(now, -requests)
    this.tokens?.take(now, -tokens)
  }

  costMs(tokens: number): number {
    const { requests, tokens: tokensPerMs } = this.rates
    return Math.max(requests === undefined ? 0 : 1 / requests, tokensPerMs === undefined ? 0 : tokens / tokensPerMs)
  }

  limited(now: number, pauseMs: number): void {
    this.part *= shrink
    this.partAt = now
    this.resize()
    // When the pause is over there is room for the one that was refused.
    this.requests?.atMost(now, 1 - pauseMs * this.requests.perMs)
    this.tokens?.atMost(now, -pauseMs * this.tokens.perMs)
  }

  level(unit: LimitUnit, now: number): number | undefined {
    this.grow(now)
    return this[unit]?.read(now)
  }

  private grow(now: number): void {
    if (this.part >= 1) return
    const passed = Math.max(0, now - this.partAt)
    this.part = Math.min(1, this.part * (1 + passed * growPerMs))
    this.partAt = now
    this.resize()
  }

  private resize(): void {
    const { burstMs, requests, tokens } = this.rates
    if (this.requests !== undefined) this.requests.size = Math.max(1, (requests ?? 0) * burstMs * this.part)
    if (this.tokens !== undefined) this.tokens.size = Math.max(1, (tokens ?? 0) * burstMs * this.part)
  }
}
