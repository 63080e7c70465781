/** A limit by what the provider's headers say of it. */
import type { UpstreamLimits } from "../../services/provider.ts"
import type { Rates } from "./supply.ts"

/** Limits are for a minute, unless the time to their reset says that they are for much longer (requests a day). */
const minuteMs = 60_000
const muchLongerMs = 5 * minuteMs

const perMs = (
  limit: number | undefined,
  remaining: number | undefined,
  resetMs: number | undefined
): number | undefined => {
  if (limit === undefined || limit <= 0) return undefined
  const used = limit - (remaining ?? limit)
  // A bucket that is short of `used` and full again in `resetMs` refills at that rate.
  const windowMs = resetMs === undefined || used <= 0 ? minuteMs : (limit * resetMs) / used
  return limit / (windowMs > muchLongerMs ? windowMs : minuteMs)
}

/** The rates that the headers of an answer name, `share` of them; `undefined` where they name none. */
export const learned = (limits: UpstreamLimits, share: number, burstMs: number): Rates | undefined => {
  const requests = perMs(limits.limitRequests, limits.remainingRequests, limits.resetRequestsMs)
  const tokens = perMs(limits.limitTokens, limits.remainingTokens, limits.resetTokensMs)
  if (requests === undefined && tokens === undefined) return undefined
  const part = (rate: number | undefined) => (rate === undefined ? undefined : rate * share)
  return { requests: part(requests), tokens: part(tokens), burstMs }
}
