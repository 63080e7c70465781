/**
 * What a completion consumed, in tokens, as OpenAI reports it.
 */
import { Schema } from "effect"

const Count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))

/** Token counts of one answer; `total_tokens` is the sum of the other two. Unknown detail fields are kept. */
export const Usage = Schema.Struct({
  prompt_tokens: Count,
  completion_tokens: Count,
  total_tokens: Count,
  prompt_tokens_details: Schema.optionalKey(Schema.NullOr(Schema.Record(Schema.String, Schema.Unknown))),
  completion_tokens_details: Schema.optionalKey(Schema.NullOr(Schema.Record(Schema.String, Schema.Unknown)))
})
export interface Usage extends Schema.Schema.Type<typeof Usage> {}

/** Usage of `input` prompt tokens and `output` completion tokens. */
export const make = (input: number, output: number): Usage => ({
  prompt_tokens: input,
  completion_tokens: output,
  total_tokens: input + output
})
