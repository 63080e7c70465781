/**
 * Hedging in the memory of this process.
 */
import { Layer } from "effect"
import type { HedgePolicy } from "../../domain/policy.ts"
import { Hedging } from "../../services/hedging.ts"

export const layer = (_policy: HedgePolicy): Layer.Layer<Hedging> =>
  Layer.succeed(Hedging, { delayMs: () => undefined, spend: () => false, observe: () => {}, earn: () => {} })
