/**
 * Ballast as layers: everything that `complete` and `embed` need, built from a
 * configuration. To swap one service (in a test, or for your own), provide
 * yours over it:
 *
 * ```ts
 * const layer = Layer.merge(Ballast.layer(config), myRateLimiter)
 * ```
 */
import { Effect, Layer, Redacted } from "effect"
import type { Scope } from "effect"
import type { ProviderConfig, ResolvedConfig } from "../domain/config.ts"
import type { StoreError } from "../domain/errors.ts"
import * as BrownoutConfig from "../layers/brownout/config.ts"
import * as BulkheadMemory from "../layers/bulkhead/memory.ts"
import * as CatalogConfig from "../layers/catalog/config.ts"
import * as HedgingMemory from "../layers/hedging/memory.ts"
import { anthropic } from "../layers/provider/anthropic.ts"
import * as Auth from "../layers/provider/auth.ts"
import { azure, openai, openaiCompatible } from "../layers/provider/openai.ts"
import * as SimUpstream from "../layers/provider/sim/upstream.ts"
import type { SimOptionsInput } from "../layers/provider/sim/options.ts"
import * as Upstreams from "../layers/provider/upstreams.ts"
import * as RetryPolicyFullJitter from "../layers/retry-policy/full-jitter.ts"
import * as RouterOrdered from "../layers/router/ordered.ts"
import * as StaleAnswersNone from "../layers/stale-answers/none.ts"
import * as TelemetryStandard from "../layers/telemetry/standard.ts"
import * as TimersWheel from "../layers/timers/wheel.ts"
import * as TokenCounterCalibrated from "../layers/token-counter/calibrated.ts"
import * as TransportUndici from "../layers/transport/undici.ts"
import { CurrentTimeouts } from "../services/policy.ts"
import type { Provider, Upstream } from "../services/provider.ts"
import { Timers } from "../services/timers.ts"
import type { Transport } from "../services/transport.ts"
import type { Guards } from "./guards.ts"
import * as Stores from "./stores.ts"

/** Everything that `complete`, `embed` and the server need. */
export type Services = Guards | Stores.Stores

/**
 * All services for a configuration. Fails where its Postgres cannot be used:
 * a schema that this version does not know. Stores that are merely away are
 * waited for in the background.
 */
export const layer = (config: ResolvedConfig): Layer.Layer<Services, StoreError> =>
  over(config, provider(config), Stores.layer(config))

/** The same in this process's memory, over upstreams of another making; stores and upstreams of the configuration are not opened. */
export const layerOver = (
  config: ResolvedConfig,
  upstreams: Layer.Layer<Provider, never, Timers>
): Layer.Layer<Services> => over(config, upstreams, Stores.memory(config))

const over = <E>(
  config: ResolvedConfig,
  upstreams: Layer.Layer<Provider, never, Timers>,
  stores: Layer.Layer<Stores.Stores, E, Timers>
): Layer.Layer<Services, E> => {
  const { policies } = config
  return Layer.mergeAll(
    BrownoutConfig.layer(policies.brownout, config.models, config.features),
    BulkheadMemory.layer(policies.bulkhead, bulkheads(config)),
    CatalogConfig.layer(config.models),
    HedgingMemory.layer(policies.hedge),
    upstreams,
    RetryPolicyFullJitter.layer(policies.retry),
    RouterOrdered.layer,
    StaleAnswersNone.layer,
    TelemetryStandard.layer(config.telemetry),
    stores,
    TokenCounterCalibrated.layer,
    Layer.succeed(CurrentTimeouts, policies.timeouts)
  ).pipe(Layer.provideMerge(TimersWheel.layer))
}

const bulkheads = (config: ResolvedConfig) =>
  Object.fromEntries(Object.values(config.providers).map(({ bulkhead, name }) => [name, bulkhead]))

/** The configured upstreams behind the `Provider` port, over the production transport. */
const provider = (config: ResolvedConfig) =>
  Upstreams.layer(
    Object.fromEntries(Object.values(config.providers).map((options) => [options.name, upstream(options)]))
  ).pipe(
    Layer.provide(
      Layer.unwrap(
        Effect.map(Timers, (timers) =>
          TransportUndici.layer({
            timers,
            connectTimeoutMs: config.policies.timeouts.connectMs,
            ...connectionsOf(config)
          })
        )
      )
    )
  )

const connectionsOf = ({ providers }: ResolvedConfig): { readonly connections?: number } => {
  const most = Math.max(0, ...Object.values(providers).map(({ connections }) => connections ?? 0))
  return most === 0 ? {} : { connections: most }
}

const upstream = (options: ProviderConfig): Effect.Effect<Upstream, never, Transport | Scope.Scope> => {
  const { baseUrl, kind, name } = options
  const headers = Object.fromEntries(
    Object.entries(options.headers).map(([key, value]) => [
      key,
      Redacted.isRedacted(value) ? Redacted.value(value) : value
    ])
  )
  const apiKey = options.apiKey ?? Redacted.make("")
  const common = { name, headers }
  switch (kind) {
    case "openai":
      return openai({ ...common, baseUrl, apiKey })
    case "azure":
      return azure({ ...common, baseUrl, apiKey, apiVersion: options.apiVersion ?? "2024-10-21" })
    case "anthropic":
      return anthropic({ ...common, baseUrl, apiKey, defaultMaxTokens: options.maxTokens })
    case "openai-compatible":
      return openaiCompatible({ ...common, baseUrl, doneOptional: options.doneOptional, auth: authOf(options) })
    case "sim":
      // The configuration keeps them as written; whoever made it has checked them, and `make` checks them again.
      return Effect.map(SimUpstream.make(options.sim as SimOptionsInput), (sim) => sim.upstream)
  }
}

const authOf = ({ apiKey, auth }: ProviderConfig): Auth.Auth => {
  if (apiKey === undefined || auth === "none") return Auth.none
  return auth === "api-key" ? Auth.apiKey(apiKey) : Auth.bearer(apiKey)
}
