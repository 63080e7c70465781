/**
 * The simulated provider's own rate limits: one token bucket for requests and
 * one for tokens, which refill all the time, as OpenAI's and Anthropic's do.
 *
 * With `refusedCount`, a refused call takes what is left of its request out of
 * the bucket as well (never below zero). OpenAI documents it so ("unsuccessful
 * requests contribute to your per-minute limit", help article 5955604), and it
 * is what locks out a fleet that retries faster than the bucket refills.
 */
import type { SimOptions } from "./options.ts"

/** What a call was told about the limits; `undefined` where there is none. */
export interface LimitView {
  readonly limitRequests: number | undefined
  readonly remainingRequests: number | undefined
  readonly limitTokens: number | undefined
  readonly remainingTokens: number | undefined
}

/** The answer to one call. `retryAfterMs` `Infinity` means that waiting cannot help. */
export type Verdict =
  | { readonly _tag: "Granted" }
  | { readonly _tag: "Refused"; readonly unit: "requests" | "tokens"; readonly retryAfterMs: number }

interface Bucket {
  readonly limit: number
  readonly size: number
  readonly perMs: number
  level: number
  at: number
}

const granted: Verdict = { _tag: "Granted" }

const bucket = (perMinute: number | undefined, burstMs: number, now: number): Bucket | undefined => {
  if (perMinute === undefined) return undefined
  const perMs = perMinute / 60_000
  const size = Math.max(1, perMs * burstMs)
  return { limit: perMinute, size, perMs, level: size, at: now }
}

const refill = (self: Bucket, now: number) => {
  self.level = Math.min(self.size, self.level + (now - self.at) * self.perMs)
  self.at = now
}

// Sums of refills fall short of whole numbers by a double's error.
const slack = 1e-6

const waitMs = (self: Bucket, need: number) =>
  need > self.size ? Infinity : Math.max(0, (need - slack - self.level) / self.perMs)

const remaining = (self: Bucket | undefined) => (self === undefined ? undefined : Math.floor(self.level + slack))

/** The limits at work. */
export interface Limits {
  /** Ask for one request of `tokens` tokens at `now` (epoch ms). Nothing is taken from either bucket unless both have room. */
  readonly take: (now: number, tokens: number) => Verdict
  readonly view: () => LimitView
}

/** Full buckets at `now`. */
export const make = (options: SimOptions, now: number): Limits => {
  const requests = bucket(options.rpm, options.burstMs, now)
  const tokens = bucket(options.tpm, options.burstMs, now)
  return {
    take: (at, need) => {
      if (requests !== undefined) refill(requests, at)
      if (tokens !== undefined) refill(tokens, at)
      const requestWait = requests === undefined ? 0 : waitMs(requests, 1)
      const tokenWait = tokens === undefined ? 0 : waitMs(tokens, need)
      if (requestWait === 0 && tokenWait === 0) {
        if (requests !== undefined) requests.level = Math.max(0, requests.level - 1)
        if (tokens !== undefined) tokens.level = Math.max(0, tokens.level - need)
        return granted
      }
      if (options.refusedCount && requests !== undefined) {
        requests.level = Math.max(0, requests.level - 1)
        const again = waitMs(requests, 1)
        return tokenWait > again
          ? { _tag: "Refused", unit: "tokens", retryAfterMs: tokenWait }
          : { _tag: "Refused", unit: requestWait > 0 ? "requests" : "tokens", retryAfterMs: again }
      }
      return tokenWait > requestWait
        ? { _tag: "Refused", unit: "tokens", retryAfterMs: tokenWait }
        : { _tag: "Refused", unit: "requests", retryAfterMs: requestWait }
    },
    view: () => ({
      limitRequests: requests?.limit,
      remainingRequests: remaining(requests),
      limitTokens: tokens?.limit,
      remainingTokens: remaining(tokens)
    })
  }
}
