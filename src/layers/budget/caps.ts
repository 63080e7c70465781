/**
 * Which caps a request falls under, and what their state means for it.
 */
import type { BudgetPolicy, Cap, Caps, CapState } from "../../domain/budget.ts"
import type { Caller } from "../../domain/caller.ts"
import { cost } from "../../domain/catalog.ts"
import type { Price } from "../../domain/catalog.ts"
import { BudgetError } from "../../domain/errors.ts"
import type { BudgetUnit } from "../../domain/errors.ts"
import * as Guard from "../../services/guard.ts"

/** A cap of one window, by the name that its counters have. */
export interface AppliedCap {
  readonly name: string
  readonly scope: "tenant" | "feature"
  readonly window: "day" | "month"
  readonly tenant: Caller["tenant"]
  readonly feature: string | undefined
  readonly cap: Cap
}

const none: ReadonlyArray<AppliedCap> = []

/** The caps of a tenant, `ofTenant`, and of one of its features. Ids are told apart by their length. */
export const applied = (
  policy: BudgetPolicy,
  ofTenant: Caps,
  tenant: Caller["tenant"],
  feature?: string
): ReadonlyArray<AppliedCap> => {
  const ofFeature =
    feature === undefined || !Object.hasOwn(policy.features, feature) ? undefined : policy.features[feature]
  if (
    ofTenant.day === undefined &&
    ofTenant.month === undefined &&
    ofFeature?.day === undefined &&
    ofFeature?.month === undefined
  ) {
    return none
  }
  const caps: Array<AppliedCap> = []
  const add = (scope: AppliedCap["scope"], name: string, { day, month }: Caps, of: string | undefined): void => {
    if (day !== undefined) caps.push({ name: `${name}:day`, scope, window: "day", tenant, feature: of, cap: day })
    if (month !== undefined)
      caps.push({ name: `${name}:month`, scope, window: "month", tenant, feature: of, cap: month })
  }
  add("tenant", `t:${tenant}`, ofTenant, undefined)
  if (ofFeature !== undefined) add("feature", `f:${tenant.length}:${tenant}:${feature}`, ofFeature, feature)
  return caps
}

/** What is asked of every cap. */
export interface Asked {
  readonly microUsd: number
  readonly tokens: number
}

/** An amount that can be booked: a whole number, not negative, and one that sums can be made of. */
export const amount = (value: number): number =>
  value > 0 ? Math.min(Math.ceil(value), Number.MAX_SAFE_INTEGER / 1_024) : 0

/** Output tokens, at most `output`, that each cap as a whole has room for beside the prompt; at least one. */
export const roomFor = (
  caps: ReadonlyArray<Pick<AppliedCap, "cap">>,
  price: Price,
  input: number,
  output: number
): number => {
  let room = output
  const prompt = cost(price, { prompt_tokens: input, completion_tokens: 0 })
  for (const { cap } of caps) {
    if (cap.tokens !== undefined) room = Math.min(room, cap.tokens - input)
    if (cap.microUsd !== undefined && price.output > 0) {
      room = Math.min(room, Math.floor(((cap.microUsd - prompt) * 1_000_000) / price.output))
    }
  }
  return Math.max(1, room)
}

/** The refusal where a request is larger than a cap as a whole; `undefined` where it may fit. */
export const neverFits = (
  requestId: string | undefined,
  caps: ReadonlyArray<
    Pick<AppliedCap, "cap"> & { readonly scope: CapState["scope"]; readonly window: CapState["window"] }
  >,
  asked: Asked
): BudgetError | undefined => {
  for (const { cap, scope, window } of caps) {
    const unit: BudgetUnit | undefined =
      cap.microUsd !== undefined && asked.microUsd > cap.microUsd
        ? "micro-usd"
        : cap.tokens !== undefined && asked.tokens > cap.tokens
          ? "tokens"
          : undefined
    if (unit === undefined) continue
    const limit = (unit === "tokens" ? cap.tokens : cap.microUsd) ?? 0
    return Guard.refusal(
      () =>
        new BudgetError({
          ...Guard.withRequestId(requestId),
          reason: {
            _tag: "NeverFits",
            scope,
            window,
            unit,
            limit,
            asked: unit === "tokens" ? asked.tokens : asked.microUsd
          }
        })
    )
  }
  return undefined
}

/** The refusal of a request that does not fit into what is left. */
export const exhausted = (
  requestId: string | undefined,
  { cap, scope, window }: AppliedCap,
  unit: BudgetUnit,
  used: number
): BudgetError => {
  const limit = (unit === "tokens" ? cap.tokens : cap.microUsd) ?? 0
  return Guard.refusal(
    () =>
      new BudgetError({
        ...Guard.withRequestId(requestId),
        reason: { _tag: "Exhausted", scope, window, unit, limit, used }
      })
  )
}

/** When to ask again (ms) where caps cannot be checked. */
const awayMs = 1_000

/** The refusal where a cap cannot be checked: money fails closed. */
export const unavailable = (requestId: string | undefined): BudgetError =>
  Guard.refusal(
    () =>
      new BudgetError({
        ...Guard.withRequestId(requestId),
        reason: { _tag: "Unavailable", retryAfterMs: awayMs }
      })
  )

/** Where a cap stands, one state for each unit that it limits. */
export const statesOf = (
  { cap, scope, window }: AppliedCap,
  usedMicroUsd: number,
  usedTokens: number
): ReadonlyArray<CapState> => [
  ...(cap.microUsd === undefined
    ? []
    : [{ scope, window, unit: "micro-usd" as const, limit: cap.microUsd, used: usedMicroUsd }]),
  ...(cap.tokens === undefined ? [] : [{ scope, window, unit: "tokens" as const, limit: cap.tokens, used: usedTokens }])
]

/** States at or past `share` of their limit. */
export const past = (states: ReadonlyArray<CapState>, share: number): ReadonlyArray<CapState> =>
  states.filter(({ limit, used }) => used >= share * limit)
