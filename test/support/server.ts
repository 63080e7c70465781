/**
 * The real application in a test: the whole server on real sockets and free
 * ports, with one layer or another swapped, and the simulated provider behind
 * it, in process or over HTTP. For `it.live`: sockets know no virtual time.
 */
import { ConfigProvider, Effect, Layer } from "effect"
import type { Scope } from "effect"
import OpenAI from "openai"
import type { BallastConfigInput } from "../../src/domain/config-file.ts"
import type { ResolvedConfig } from "../../src/domain/config.ts"
import type { SimOptionsInput } from "../../src/layers/provider/sim/options.ts"
import * as Ballast from "../../src/programs/ballast.ts"
import * as Config from "../../src/programs/config.ts"
import * as Server from "../../src/programs/server.ts"
import * as Sim from "../../src/programs/sim.ts"

/** A simulated provider that answers within some 10 ms, with six tokens. */
export const quickSim: SimOptionsInput = {
  ttft: { medianMs: 3, sigma: 0 },
  perToken: { medianMs: 1, sigma: 0 },
  outputTokens: { median: 6, sigma: 0 },
  embedding: { medianMs: 1, dimension: 8 }
}

const free = { requestsPerMinute: 1_000_000 }

/** No retries of our own and no limits in the way, so that a test sees each call as it was. */
export const transparent: NonNullable<BallastConfigInput["policies"]> = {
  rateLimits: { user: free, ip: free, global: free },
  bulkhead: { maxInFlight: 1_000 },
  retry: { maxRetries: 0 }
}

const chat = { price: { inputPerMillion: 1, outputPerMillion: 2 } }

/** The models of most tests: `chat` and `embed` at the provider `up`. */
export const models: NonNullable<BallastConfigInput["models"]> = [
  { ...chat, alias: "chat", candidates: ["up/upstream-chat"] },
  { ...chat, alias: "embed", kind: "embedding", candidates: ["up/upstream-embed"] }
]

/**
 * - `config`: over a default with free ports, the quick provider in process and the policies {@link transparent}
 * - `swap`: services that replace those of `Ballast.layer`
 * - `env`: the environment that the configuration's secrets come from
 */
export interface Options {
  readonly config?: BallastConfigInput
  readonly swap?: Layer.Layer<never>
  readonly env?: Readonly<Record<string, string>>
}

/** A running server. `url` and `admin` are without a path. */
export interface Booted {
  readonly url: string
  readonly admin: string
  readonly config: ResolvedConfig
  /** Requests being handled now. */
  readonly active: Effect.Effect<number>
}

/** Start the server; it drains (at once, unless `config.server.drainMs` says otherwise) and stops with the scope. */
export const boot = (options: Options = {}): Effect.Effect<Booted, never, Scope.Scope> =>
  Effect.gen(function* () {
    const { config: given = {}, env = {}, swap = Layer.empty } = options
    const config = yield* Config.fromUnknown({
      providers: { up: { kind: "sim", sim: quickSim } },
      models,
      policies: transparent,
      ...given,
      server: { port: 0, adminPort: 0, drainMs: 0, ...given.server }
    }).pipe(Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env })))
    // What is merged last wins, so a swap needs no more than the services it replaces.
    const context = yield* Layer.build(Layer.merge(Ballast.layer(config), swap))
    const running = yield* Effect.provideContext(Server.start(config), context)
    return {
      url: `http://${running.api.host}:${running.api.port}`,
      admin: `http://${running.admin.host}:${running.admin.port}`,
      config,
      active: Effect.sync(running.active)
    }
  }).pipe(Effect.orDie)

/** Configuration of a server before a provider at `origin` that speaks OpenAI's protocol. */
export const before = (origin: string, rest: BallastConfigInput = {}): BallastConfigInput => ({
  providers: { up: { kind: "openai-compatible", baseUrl: `${origin}/v1` } },
  ...rest
})

/** A server before a simulated provider that is reached over HTTP. */
export const bootBeforeSim = (
  sim: SimOptionsInput = quickSim,
  rest: BallastConfigInput = {}
): Effect.Effect<Booted & { readonly sim: Sim.SimServer["Service"] }, never, Scope.Scope> =>
  Effect.gen(function* () {
    const provider = yield* Effect.orDie(Sim.serve(sim, { host: "127.0.0.1", port: 0 }))
    const server = yield* boot({ config: before(provider.url, rest) })
    return { ...server, sim: provider }
  })

/** The stock client, without retries of its own unless asked. */
export const openaiClient = (
  server: Pick<Booted, "url">,
  options: ConstructorParameters<typeof OpenAI>[0] = {}
): OpenAI => new OpenAI({ apiKey: "any", baseURL: `${server.url}/v1`, maxRetries: 0, ...options })

/** What a promise was rejected with; a defect where it was not. */
export const rejection = (promise: () => PromiseLike<unknown>): Effect.Effect<unknown> =>
  Effect.flatMap(
    Effect.promise(async () => {
      try {
        await promise()
        return undefined
      } catch (error) {
        return { error }
      }
    }),
    (outcome) => (outcome === undefined ? Effect.die("not rejected") : Effect.succeed(outcome.error))
  )

/** Everything a stream of a client gives, to its end. */
export const chunksOf = <A>(open: () => PromiseLike<AsyncIterable<A>>): Effect.Effect<ReadonlyArray<A>> =>
  Effect.promise(async () => {
    const chunks: Array<A> = []
    for await (const chunk of await open()) chunks.push(chunk)
    return chunks
  })

/** Asks `read` again and again until `holds`; what was read then, and after how many ms. For states no event tells of. */
export const until = <A>(
  read: Effect.Effect<A>,
  holds: (value: A) => boolean
): Effect.Effect<{ readonly value: A; readonly afterMs: number }> =>
  Effect.gen(function* () {
    const began = performance.now()
    for (;;) {
      const value = yield* read
      if (holds(value)) return { value, afterMs: performance.now() - began }
      if (performance.now() - began > 5_000) return yield* Effect.die("waited 5 s in vain")
      yield* Effect.sleep(1)
    }
  })
