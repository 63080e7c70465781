/**
 * The brownout ladder as the configuration has it: one policy, the smaller
 * model of each model, and the features that differ.
 */
import { Layer } from "effect"
import type { BrownoutPolicy } from "../../domain/brownout.ts"
import type { Model } from "../../domain/catalog.ts"
import { Brownout } from "../../services/brownout.ts"

/** What a feature says for itself. */
type Features = Readonly<Record<string, { readonly partial?: boolean }>>

/** `models` are all that a `smaller` may name; a feature's own `partial` stands over the policy's. */
export const make = (
  policy: BrownoutPolicy,
  models: ReadonlyArray<Model>,
  features: Features = {}
): Brownout["Service"] => {
  const byAlias = new Map(models.map((model) => [model.alias, model]))
  const ownWord = new Map(
    Object.entries(features).flatMap(([name, { partial }]) => (partial === undefined ? [] : [[name, partial] as const]))
  )
  return {
    smaller: ({ smaller }) => (smaller === undefined ? undefined : byAlias.get(smaller)),
    shorter: policy.shorter,
    partial: ownWord.size === 0 ? () => policy.partial : (caller) => ownWord.get(caller.feature) ?? policy.partial,
    refusal: policy.refusal
  }
}

/** {@link make} as a layer. */
export const layer = (
  policy: BrownoutPolicy,
  models: ReadonlyArray<Model>,
  features?: Features
): Layer.Layer<Brownout> => Layer.succeed(Brownout, make(policy, models, features))
