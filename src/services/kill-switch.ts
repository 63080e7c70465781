/**
 * Levers that work at once: switch off a feature, a tenant, a model, a
 * provider, or everything. A provider that is off is skipped like one with an
 * open breaker; the others refuse the request with a non-retryable 503.
 */
import { Context, Effect } from "effect"
import type { KillSwitchError } from "../domain/errors.ts"

/** What a switch turns off. */
export type SwitchKind = "all" | "feature" | "model" | "provider" | "tenant"

/** A switch that is off. */
export interface Switch {
  readonly kind: SwitchKind
  readonly target: string
  readonly note: string | undefined
}

export class KillSwitch extends Context.Service<
  KillSwitch,
  {
    /** Refuse when everything, the tenant, the feature or the model is off. */
    readonly check: (request: {
      readonly tenant: string
      readonly feature: string
      readonly model: string
    }) => Effect.Effect<void, KillSwitchError>
    /** Refuse when the provider is off. */
    readonly checkProvider: (provider: string) => Effect.Effect<void, KillSwitchError>
    readonly off: (kind: SwitchKind, target: string, note?: string) => Effect.Effect<void>
    readonly on: (kind: SwitchKind, target: string) => Effect.Effect<void>
    /** All switches that are off. */
    readonly list: Effect.Effect<ReadonlyArray<Switch>>
  }
>()("ballast/services/KillSwitch") {}
