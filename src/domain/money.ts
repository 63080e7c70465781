/**
 * Money as integer micro-dollars (1 USD = 1,000,000). Integers, so that a
 * million small charges add up exactly; micro, because one token of a cheap
 * model costs a fraction of a cent.
 */
import { Schema } from "effect"

/** An amount in micro-dollars: a safe integer, negative only for refunds. */
export const Money = Schema.Int.annotate({ identifier: "Money", description: "micro-dollars (1e-6 USD)" })
export type Money = typeof Money.Type

/** No money at all. */
export const zero: Money = 0

/** Micro-dollars from dollars, rounded to the nearest micro-dollar. */
export const fromDollars = (dollars: number): Money => Math.round(dollars * 1_000_000)

/** Dollars as a decimal string with six places, e.g. `0.001250`. */
export const toDollars = (money: Money): string => (money / 1_000_000).toFixed(6)

/**
 * Price of `tokens` at `perMillion` micro-dollars per million tokens, rounded
 * up: a provider never charges less than the fraction it metered.
 */
export const ofTokens = (tokens: number, perMillion: Money): Money => Math.ceil((tokens * perMillion) / 1_000_000)
