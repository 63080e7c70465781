/**
 * One upstream that could answer a request: a provider, the model's name
 * there, and where. Breakers, bulkheads and traces are keyed by it.
 */
import { Schema } from "effect"

/** A provider x model x region. `provider` is the name of a configured upstream. */
export const Candidate = Schema.Struct({
  provider: Schema.NonEmptyString,
  model: Schema.NonEmptyString,
  region: Schema.optionalKey(Schema.NonEmptyString)
})
export interface Candidate extends Schema.Schema.Type<typeof Candidate> {}

/** `provider/model@region`: the key of the breaker, and the label in traces. */
export const key = (candidate: Candidate): string =>
  candidate.region === undefined
    ? `${candidate.provider}/${candidate.model}`
    : `${candidate.provider}/${candidate.model}@${candidate.region}`
