/**
 * A fleet in virtual time: processes that each have Ballast's real services,
 * built for them alone, and share nothing but the simulated providers. A
 * policy sees what it would see in production: answers, errors, its own clock.
 */
import { Context, Effect, Layer, Random, Scope, Stream } from "effect"
import type { ResolvedConfig } from "../../domain/config.ts"
import type { SimControl } from "../../layers/provider/sim/engine.ts"
import * as Engine from "../../layers/provider/sim/engine.ts"
import type { SimOptions } from "../../layers/provider/sim/options.ts"
import * as SimRandom from "../../layers/provider/sim/random.ts"
import * as SimUpstream from "../../layers/provider/sim/upstream.ts"
import * as Upstreams from "../../layers/provider/upstreams.ts"
import * as TelemetryStandard from "../../layers/telemetry/standard.ts"
import { CircuitBreaker } from "../../services/circuit-breaker.ts"
import type { BreakerTransition } from "../../services/circuit-breaker.ts"
import type { Upstream } from "../../services/provider.ts"
import * as Ballast from "../ballast.ts"

/** One process: the context in which its requests run. */
export interface Process {
  readonly index: number
  readonly context: Context.Context<Ballast.Services>
}

/** A call that left a process for a provider. `atMs` is virtual time. */
export interface ProviderCall {
  readonly provider: string
  readonly process: number
  readonly atMs: number
}

/** A breaker of one process changed its state. */
export interface FleetTransition extends BreakerTransition {
  readonly process: number
}

/** What the fleet's owner hears of. */
export interface Listener {
  readonly call: (call: ProviderCall) => void
  readonly transition: (transition: FleetTransition) => void
}

/** The fleet, and the providers it calls, by name. */
export interface Fleet {
  readonly processes: ReadonlyArray<Process>
  readonly providers: Readonly<Record<string, SimControl>>
}

/** The seed of a run's provider: each run draws its own times, and each provider of a run too. */
export const providerSeed = (simSeed: number, seed: number, name: string): number =>
  SimRandom.hash(`${simSeed} ${seed} ${name}`) | 0

/** A seeded `Random` for one process. */
const randomOf = (seed: number, process: number): Context.Service.Shape<typeof Random.Random> => {
  const next = SimRandom.make(seed, process, 21)
  return {
    nextDoubleUnsafe: next,
    nextIntUnsafe: () => Math.floor((next() - 0.5) * 2 * Number.MAX_SAFE_INTEGER)
  }
}

/** A process's way to a shared provider. */
const reached = (
  upstream: Upstream,
  process: number,
  provider: string,
  clock: () => number,
  listener: Listener
): Upstream => ({
  open: (candidate, request) => {
    listener.call({ provider, process, atMs: clock() })
    return upstream.open(candidate, request)
  },
  embed: (candidate, request) => {
    listener.call({ provider, process, atMs: clock() })
    return upstream.embed(candidate, request)
  }
})

/** Build a fleet of `size` over providers of these options; it ends with the scope. */
export const make = Effect.fnUntraced(function* (options: {
  readonly size: number
  readonly seed: number
  readonly config: ResolvedConfig
  readonly providers: Readonly<Record<string, SimOptions>>
  readonly listener: Listener
}): Effect.fn.Return<Fleet, never, Scope.Scope> {
  const { config, listener, seed, size } = options
  const scope = yield* Effect.scope
  const ambient = yield* Effect.context<never>()
  const engines: Record<string, Engine.Engine> = {}
  for (const [name, sim] of Object.entries(options.providers)) {
    engines[name] = yield* Engine.makeDecoded({ ...sim, seed: providerSeed(sim.seed, seed, name) })
  }
  const upstreams = Object.entries(engines).map(([name, engine]) => ({
    name,
    upstream: SimUpstream.fromEngine(engine),
    now: engine.processor.now
  }))
  const processes: Array<Process> = []
  for (let index = 0; index < size; index++) {
    const provider = Upstreams.layer(
      Object.fromEntries(
        upstreams.map(({ name, now, upstream }) => [
          name,
          Effect.succeed(reached(upstream, index, name, now, listener))
        ])
      )
    )
    const random = randomOf(seed, index)
    // A memo map of its own: layers that several processes build from one constant must not be shared.
    const services = yield* Layer.buildWithMemoMap(
      Layer.merge(Ballast.layerOver(config, provider), TelemetryStandard.layerNone),
      Layer.makeMemoMapUnsafe(),
      scope
    ).pipe(Effect.provideService(Random.Random, random))
    processes.push({ index, context: Context.merge(ambient, Context.add(services, Random.Random, random)) })
    yield* Effect.forkIn(
      Stream.runForEach(Context.get(services, CircuitBreaker).transitions, (transition) =>
        Effect.sync(() => listener.transition({ ...transition, process: index }))
      ),
      scope,
      { startImmediately: true }
    )
  }
  return { processes, providers: engines }
})
