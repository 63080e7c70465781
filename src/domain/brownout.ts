/**
 * The brownout ladder: what a caller gets when the full answer cannot be had,
 * best first. Less of an answer beats none, as long as the caller is told.
 *
 * Source of the name: Klein, Maggio, Arzen and Hernandez-Rodriguez, "Brownout:
 * building more robust cloud applications" (ICSE 2014): an overloaded service
 * leaves out what is optional.
 */
import { Schema } from "effect"
import { rowOf } from "./error-table.ts"
import type { ErrorKey } from "./error-table.ts"
import type { CompleteError } from "./errors.ts"

/**
 * The rungs, best first.
 *
 * - `full`: the answer that was asked for
 * - `stale`: an earlier answer to the same request
 * - `smaller-model`: the answer of a smaller model
 * - `shorter`: an answer whose length was capped, and which met the cap
 * - `partial`: as much as was generated before the answer broke off
 * - `refused`: no answer, and a typed error that says why and when to try again
 */
export const Rung = Schema.Literals(["full", "stale", "smaller-model", "shorter", "partial", "refused"])
export type Rung = typeof Rung.Type

/**
 * Why an answer is not full: the error that stood in its way, `pressure` (too many callers waiting), or `budget` (the
 * caller's is nearly used up). A closed set.
 */
export type DegradedReason = ErrorKey | "pressure" | "budget"

/** An answer that is not full. `ageMs`: how old a stale one is. */
export interface Degraded {
  readonly rung: Exclude<Rung, "full">
  readonly reason: DegradedReason
  readonly ageMs?: number
}

/** Shorter answers while many wait. */
export const ShorterPolicy = Schema.Struct({
  maxTokens: Schema.Int.check(Schema.isGreaterThanOrEqualTo(1)).annotate({
    description: "most output tokens of an answer that is asked for under pressure"
  }),
  above: Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0)).annotate({
    description:
      "there is pressure when more callers than this wait for each place at the provider; 0: when anyone waits"
  }),
  critical: Schema.Boolean.annotate({
    description: "whether answers to callers of critical priority are shortened too"
  })
})
export interface ShorterPolicy extends Schema.Schema.Type<typeof ShorterPolicy> {}

/** What the operator has to say to whoever is refused; shown beside the reason. */
export const RefusalText = Schema.Struct({
  message: Schema.optionalKey(
    Schema.NonEmptyString.annotate({ description: "one or two sentences for the people who use the product" })
  ),
  link: Schema.optionalKey(
    Schema.String.check(
      Schema.isPattern(/^https?:\/\/[^\s/]+(\/\S*)?$/u, { expected: "an http:// or https:// URL" })
    ).annotate({ description: "where they find more, e.g. a status page" })
  )
})
export interface RefusalText extends Schema.Schema.Type<typeof RefusalText> {}

/** What callers get when a full answer cannot be had. */
export const BrownoutPolicy = Schema.Struct({
  partial: Schema.Boolean.annotate({
    description: "whether an answer that breaks off is returned as far as it came, instead of an error"
  }),
  shorter: Schema.optionalKey(ShorterPolicy.annotate({ description: "shorter answers while many wait" })),
  refusal: RefusalText.annotate({ description: "shown with every refusal that is not the client's own fault" })
})
export interface BrownoutPolicy extends Schema.Schema.Type<typeof BrownoutPolicy> {}

/** As shipped: nothing but full answers and refusals; a broken stream is an error. */
export const defaults: BrownoutPolicy = { partial: false, refusal: {} }

/**
 * Whether a request that failed so may have a lesser answer: not where the
 * request itself was wrong, which no other answer would mend.
 */
export const descends = (error: CompleteError): boolean =>
  error._tag === "DeadlineError" || rowOf(error).next !== "stop"

/** Whether a smaller model may be asked after such a failure: not when the time is over. */
export const mayAskSmaller = (error: CompleteError): boolean => rowOf(error).next !== "stop"
