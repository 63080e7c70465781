/**
 * The simulated provider in process: an `Upstream` as every other, with
 * commands beside it. It needs no network and no key, and it runs in virtual
 * time.
 *
 * A request's field `sim` asks for a fault or for exact times (`Directive` in
 * `options.ts`). Failures are the `ProviderError`s that an HTTP adapter would
 * give; a call that hangs never answers, and only the caller's own deadline
 * ends it.
 */
import { Effect, Pull, Stream } from "effect"
import type { Scope } from "effect"
import type { Completion, Upstream } from "../../../services/provider.ts"
import * as Chat from "./chat.ts"
import * as Embeddings from "./embeddings.ts"
import * as Engine from "./engine.ts"
import * as Failure from "./failure.ts"
import { decode } from "./options.ts"
import type { SimOptionsInput } from "./options.ts"

/** The provider and its controls. */
export interface Sim {
  readonly upstream: Upstream
  readonly control: Engine.SimControl
}

/** An `Upstream` over an engine that may be shared. */
export const fromEngine = (engine: Engine.Engine): Upstream => ({
  open: (candidate, { chat, includeUsage }) => {
    const streamed = chat.stream === true
    const withUsage = includeUsage || chat.stream_options?.include_usage === true
    const fail = (failure: Failure.Failure) => Failure.toProviderError(candidate.provider, failure, streamed)
    const opened = Effect.flatMap(
      Chat.begin(engine, candidate.model, chat, withUsage),
      ({ call, chunks, whole }): Effect.Effect<Completion, Failure.Failure> => {
        const upstream = {
          remainingRequests: call.limits.remainingRequests,
          remainingTokens: call.limits.remainingTokens,
          limitRequests: call.limits.limitRequests,
          limitTokens: call.limits.limitTokens
        }
        if (!streamed) return Effect.map(whole, (first) => ({ candidate, first, rest: Stream.empty, upstream }))
        return Effect.map(
          // A stream always has its first chunk: an end before it is not in the plan of any call.
          Pull.catchDone(chunks, () => Effect.die("a simulated stream without a chunk")),
          ([first, ...others]) => {
            const rest = Stream.mapError(Stream.fromPull(Effect.succeed(chunks)), fail)
            return {
              candidate,
              first,
              rest: others.length === 0 ? rest : Stream.concat(Stream.fromArray(others), rest),
              upstream
            }
          }
        )
      }
    )
    return Effect.mapError(opened, fail)
  },
  embed: (candidate, { embedding }) =>
    Effect.flatMap(Embeddings.begin(engine, candidate.model, embedding), ({ response }) => response).pipe(
      Effect.map((response) => ({ candidate, response, data: JSON.stringify(response) })),
      Effect.mapError((failure) => Failure.toProviderError(candidate.provider, failure, false))
    )
})

/** A simulated provider of its own. Options that cannot be read are a defect. */
export const make = (options: SimOptionsInput = {}): Effect.Effect<Sim, never, Scope.Scope> =>
  Effect.map(Engine.make(options), (engine) => ({ upstream: fromEngine(engine), control: engine }))

/** The same from a configuration's JSON, which was checked when it was read; what is wrong by now is a defect. */
export const fromConfig = (config: unknown): Effect.Effect<Sim, never, Scope.Scope> =>
  Effect.orDie(decode(config)).pipe(
    Effect.flatMap(Engine.makeDecoded),
    Effect.map((engine) => ({ upstream: fromEngine(engine), control: engine }))
  )
