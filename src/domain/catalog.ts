/**
 * What a model is to a caller: an alias, the upstreams that serve it in order
 * of preference, what it costs and how much fits into it.
 */
import { Schema } from "effect"
import { Candidate } from "./candidate.ts"
import { Money, ofTokens } from "./money.ts"
import type { Usage } from "./usage.ts"

/** Price in micro-dollars per million tokens; equal to US cents x 10,000 of the usual price lists. */
export const Price = Schema.Struct({
  input: Money.check(Schema.isGreaterThanOrEqualTo(0)),
  output: Money.check(Schema.isGreaterThanOrEqualTo(0))
})
export interface Price extends Schema.Schema.Type<typeof Price> {}

/**
 * One entry of the catalog.
 *
 * - `alias`: the name callers use as `model`
 * - `candidates`: tried in this order; the first is the primary
 * - `contextTokens`: most tokens of prompt and answer together
 * - `maxOutputTokens`: most tokens of one answer
 * - `smaller`: alias of the model that answers when none of these candidates can
 */
export const Model = Schema.Struct({
  alias: Schema.NonEmptyString,
  kind: Schema.Literals(["chat", "embedding"]),
  candidates: Schema.NonEmptyArray(Candidate),
  price: Price,
  contextTokens: Schema.Int.check(Schema.isGreaterThanOrEqualTo(1)),
  maxOutputTokens: Schema.Int.check(Schema.isGreaterThanOrEqualTo(0)),
  smaller: Schema.optionalKey(Schema.NonEmptyString)
})
export interface Model extends Schema.Schema.Type<typeof Model> {}

/** What `usage` costs at `price`, in micro-dollars. */
export const cost = (price: Price, usage: Pick<Usage, "prompt_tokens" | "completion_tokens">): Money =>
  ofTokens(usage.prompt_tokens, price.input) + ofTokens(usage.completion_tokens, price.output)
