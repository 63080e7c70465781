/**
 * Policies of the file over the shipped defaults, and whether the result makes
 * sense: of two durations where one lies inside the other, a written one that
 * is too long is a problem, an unwritten one is shortened to fit.
 */
import type { ConfigProblem } from "../../domain/config-error.ts"
import type { BallastConfig } from "../../domain/config-file.ts"
import * as Policy from "../../domain/policy.ts"

type Written = BallastConfig["policies"]
type WrittenLimit = NonNullable<NonNullable<Written["rateLimits"]>["user"]>

/** A written number replaces the default, `null` takes it away. */
const limit = (base: Policy.Limit, written: WrittenLimit = {}): Policy.Limit => {
  const requests = written.requestsPerMinute === undefined ? base.requestsPerMinute : written.requestsPerMinute
  const tokens = written.tokensPerMinute === undefined ? base.tokensPerMinute : written.tokensPerMinute
  return {
    ...(requests === undefined || requests === null ? {} : { requestsPerMinute: requests }),
    ...(tokens === undefined || tokens === null ? {} : { tokensPerMinute: tokens })
  }
}

/** The bulkhead of one provider: its own values over those of all. */
export const bulkhead = (
  base: Policy.BulkheadPolicy,
  written: BallastConfig["policies"]["bulkhead"]
): Policy.BulkheadPolicy => ({ ...base, ...written })

const fit = (value: number, isWritten: boolean, outer: number): number => (isWritten ? value : Math.min(value, outer))

/** The policies that `written` means. */
export const merge = (written: Written): Policy.Policies => {
  const base = Policy.defaults
  const timeouts = { ...base.timeouts, ...written.timeouts }
  const breaker = { ...base.breaker, ...written.breaker }
  const retry = { ...base.retry, ...written.retry }
  const firstTokenMs = fit(timeouts.firstTokenMs, written.timeouts?.firstTokenMs !== undefined, timeouts.streamMs)
  return {
    timeouts: {
      ...timeouts,
      firstTokenMs,
      hardMs: fit(timeouts.hardMs, written.timeouts?.hardMs !== undefined, timeouts.streamMs),
      nonCriticalMs: fit(timeouts.nonCriticalMs, written.timeouts?.nonCriticalMs !== undefined, timeouts.hardMs),
      idleMs: fit(timeouts.idleMs, written.timeouts?.idleMs !== undefined, timeouts.streamMs),
      connectMs: fit(timeouts.connectMs, written.timeouts?.connectMs !== undefined, firstTokenMs)
    },
    rateLimits: {
      user: limit(base.rateLimits.user, written.rateLimits?.user),
      ip: limit(base.rateLimits.ip, written.rateLimits?.ip),
      tenant: limit(base.rateLimits.tenant, written.rateLimits?.tenant),
      global: limit(base.rateLimits.global, written.rateLimits?.global),
      premiumFactor: written.rateLimits?.premiumFactor ?? base.rateLimits.premiumFactor
    },
    leases: { ...base.leases, ...written.leases },
    budgets: { ...base.budgets, ...written.budgets },
    bulkhead: bulkhead(base.bulkhead, written.bulkhead),
    pacing: { ...base.pacing, ...written.pacing },
    breaker: { ...breaker, openMs: fit(breaker.openMs, written.breaker?.openMs !== undefined, breaker.maxOpenMs) },
    retry: { ...retry, baseMs: fit(retry.baseMs, written.retry?.baseMs !== undefined, retry.capMs) },
    hedge: { ...base.hedge, ...written.hedge },
    brownout: { ...base.brownout, ...written.brownout }
  }
}

/** What does not fit together in merged policies. */
export const check = (policies: Policy.Policies): ReadonlyArray<ConfigProblem> => {
  const { breaker, bulkhead: places, hedge, retry, timeouts } = policies
  const pairs: ReadonlyArray<readonly [inner: string, value: number, outer: string, most: number]> = [
    ["timeouts.hardMs", timeouts.hardMs, "timeouts.streamMs", timeouts.streamMs],
    ["timeouts.nonCriticalMs", timeouts.nonCriticalMs, "timeouts.hardMs", timeouts.hardMs],
    ["timeouts.firstTokenMs", timeouts.firstTokenMs, "timeouts.streamMs", timeouts.streamMs],
    ["timeouts.idleMs", timeouts.idleMs, "timeouts.streamMs", timeouts.streamMs],
    ["timeouts.connectMs", timeouts.connectMs, "timeouts.firstTokenMs", timeouts.firstTokenMs],
    ["breaker.openMs", breaker.openMs, "breaker.maxOpenMs", breaker.maxOpenMs],
    ["retry.baseMs", retry.baseMs, "retry.capMs", retry.capMs]
  ]
  const problems = pairs.flatMap(([inner, value, outer, most]): ReadonlyArray<ConfigProblem> =>
    value <= most
      ? []
      : [
          {
            path: `policies.${inner}`,
            found: String(value),
            allowed: `at most policies.${outer}, which is ${most}`
          }
        ]
  )
  if (places.adaptive && places.minInFlight > places.maxInFlight) {
    problems.push({
      path: "policies.bulkhead.minInFlight",
      found: String(places.minInFlight),
      allowed: `at most policies.bulkhead.maxInFlight, which is ${places.maxInFlight}`
    })
  }
  // Even when all is well, the share above the quantile is late.
  if (hedge.enabled && hedge.maxLateShare + hedge.quantile <= 1) {
    problems.push({
      path: "policies.hedge.maxLateShare",
      found: String(hedge.maxLateShare),
      allowed: `more than ${Number((1 - hedge.quantile).toFixed(6))}, the share that is late at policies.hedge.quantile ${hedge.quantile}; nothing would be hedged`
    })
  }
  return problems
}
