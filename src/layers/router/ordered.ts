/**
 * The plainest router: a model's candidates in the order of the configuration.
 */
import { Effect, Layer } from "effect"
import { Router } from "../../services/router.ts"

/** The first candidate is the primary, the others are its fallbacks. */
export const layer: Layer.Layer<Router> = Layer.succeed(Router, {
  route: (model) => Effect.succeed(model.candidates)
})
