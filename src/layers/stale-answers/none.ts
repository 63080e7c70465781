/**
 * No earlier answers: nothing is kept, so nothing stale is ever served.
 */
import { Effect, Layer } from "effect"
import { StaleAnswers } from "../../services/stale-answers.ts"

/** Every lookup finds nothing, at once. */
export const layer: Layer.Layer<StaleAnswers> = Layer.succeed(StaleAnswers, {
  lookup: () => Effect.succeed(undefined)
})
