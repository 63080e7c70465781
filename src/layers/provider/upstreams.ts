/**
 * The `Provider` service over the configured upstreams, by name.
 */
import { Effect, Layer } from "effect"
import type { Scope } from "effect"
import type { Candidate } from "../../domain/candidate.ts"
import { ProviderError } from "../../domain/errors.ts"
import { Provider } from "../../services/provider.ts"
import type { Upstream } from "../../services/provider.ts"

/** One upstream for each provider name; a candidate of any other name fails with `NotFound`. */
export const layer = <E = never, R = never>(
  upstreams: Readonly<Record<string, Effect.Effect<Upstream, E, R>>>
): Layer.Layer<Provider, E, Exclude<R, Scope.Scope>> => Layer.effect(Provider, make(upstreams))

/** What {@link layer} provides. */
export const make = Effect.fnUntraced(function* <E, R>(
  upstreams: Readonly<Record<string, Effect.Effect<Upstream, E, R>>>
) {
  const byName = new Map<string, Upstream>()
  for (const [name, upstream] of Object.entries(upstreams)) byName.set(name, yield* upstream)
  return Provider.of({
    bounded: (candidate) => byName.get(candidate.provider)?.bounded?.(candidate) === true,
    open: (candidate, request) => byName.get(candidate.provider)?.open(candidate, request) ?? unknown(candidate),
    embed: (candidate, request) => byName.get(candidate.provider)?.embed(candidate, request) ?? unknown(candidate)
  })
})

const unknown = (candidate: Candidate): Effect.Effect<never, ProviderError> =>
  Effect.fail(
    new ProviderError({
      provider: candidate.provider,
      reason: { _tag: "NotFound", detail: `no upstream of the name '${candidate.provider}' is configured` }
    })
  )
