/**
 * Budgets: how much a tenant, a feature or one request may spend in a window,
 * and what happens near the end of it.
 *
 * A cap is absolute: nothing passes it. Before it lie two thresholds, as shares
 * of the cap: `soft` warns, `downgrade` (for plans that ask for it) sends
 * requests to a smaller model with a shorter context.
 */
import { Schema } from "effect"
import type { Plan } from "./caller.ts"
import type { BudgetScope, BudgetUnit, BudgetWindow } from "./errors.ts"
import { Money } from "./money.ts"

const Amount = Money.check(Schema.isGreaterThanOrEqualTo(0))
const Tokens = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))
const Ratio = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 }))
const field = <S extends Schema.Top>(schema: S, description: string) => schema.annotate({ description })

/** One cap: micro-dollars, tokens, or both; a missing number is no cap. */
export const Cap = Schema.Struct({
  microUsd: Schema.optionalKey(field(Amount, "most micro-dollars")),
  tokens: Schema.optionalKey(field(Tokens, "most tokens, input and output"))
})
export interface Cap extends Schema.Schema.Type<typeof Cap> {}

/** Caps of one tenant or one feature by UTC day and by UTC month. */
export const Caps = Schema.Struct({
  day: Schema.optionalKey(field(Cap, "in a UTC day")),
  month: Schema.optionalKey(field(Cap, "in a UTC month"))
})
export interface Caps extends Schema.Schema.Type<typeof Caps> {}

/** What happens from the `downgrade` threshold on: a smaller model and a shorter context, or nothing before the cap refuses. */
export const OnHard = Schema.Literals(["downgrade", "refuse"])
export type OnHard = typeof OnHard.Type

/** How budgets work. */
export const BudgetPolicy = Schema.Struct({
  tenant: field(Caps, "each tenant's caps, where it has none of its own"),
  tenants: field(Schema.Record(Schema.String, Caps), "caps of single tenants"),
  features: field(Schema.Record(Schema.String, Caps), "caps of single features, within each tenant"),
  request: field(Cap, "each request's cap; a stream that would pass it is cut"),
  soft: field(Ratio, "share of a cap from which answers carry a warning"),
  downgrade: field(Ratio, "share of a cap from which plans that say `downgrade` get a smaller model"),
  onHard: field(
    Schema.Struct({ standard: OnHard, premium: OnHard }),
    "what each plan gets from the `downgrade` share on"
  ),
  downgradeTokens: field(
    Schema.Int.check(Schema.isGreaterThanOrEqualTo(1)),
    "most input tokens of a downgraded request; its oldest messages are left out"
  ),
  reserve: field(
    Schema.Literals(["max", "learned"]),
    "max: what the request could cost at most; learned: a quantile of what such requests did cost"
  ),
  quantile: field(Ratio, "the quantile that `learned` reserves"),
  reservationMs: field(
    Schema.Finite.check(Schema.isGreaterThan(0)),
    "a reservation that nobody settles is booked as spent after so long (ms); more than the longest stream"
  )
})
export interface BudgetPolicy extends Schema.Schema.Type<typeof BudgetPolicy> {}

/** The shipped defaults: no caps. The soft share is the one cloud vendors' budget alerts suggest first. */
export const defaults: BudgetPolicy = {
  tenant: {},
  tenants: {},
  features: {},
  request: {},
  soft: 0.8,
  downgrade: 0.95,
  onHard: { standard: "refuse", premium: "downgrade" },
  downgradeTokens: 4_096,
  reserve: "max",
  quantile: 0.95,
  reservationMs: 360_000
}

/** One cap that applies to a request, with where it stands. Amounts are micro-dollars or tokens. */
export interface CapState {
  readonly scope: BudgetScope
  readonly window: BudgetWindow
  readonly unit: BudgetUnit
  readonly limit: number
  /** Spent and reserved, this request included. */
  readonly used: number
}

/** What a plan gets near the end of a budget besides a refusal: a smaller model, and so much of its prompt. */
export const downgradeOf = (policy: BudgetPolicy, plan: Plan): { readonly maxInputTokens: number } | undefined =>
  policy.onHard[plan] === "downgrade" ? { maxInputTokens: policy.downgradeTokens } : undefined
