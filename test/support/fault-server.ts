/**
 * The real server of a configuration on free ports of loopback, for tests of
 * faults: with ways to look at its guards and its metrics while it runs.
 */
import { Context, ConfigProvider, Effect, Layer, Metric, Schedule } from "effect"
import type { Scope } from "effect"
import type { BallastConfigInput } from "../../src/domain/config-file.ts"
import * as Ballast from "../../src/programs/ballast.ts"
import * as Config from "../../src/programs/config.ts"
import * as Server from "../../src/programs/server.ts"
import { Bulkhead } from "../../src/services/bulkhead.ts"
import type { BulkheadState } from "../../src/services/bulkhead.ts"
import { CircuitBreaker } from "../../src/services/circuit-breaker.ts"
import type { BreakerState } from "../../src/services/circuit-breaker.ts"
import * as Client from "./raw-client.ts"

export interface FaultServer {
  /** `http://127.0.0.1:PORT` */
  readonly url: string
  readonly port: number
  readonly adminUrl: string
  readonly running: Server.Running
  readonly bulkhead: (provider: string) => Effect.Effect<BulkheadState>
  /** Of `provider/model`. */
  readonly breaker: (key: string) => Effect.Effect<BreakerState>
  /** The value of the first series whose line in the admin port's `/metrics` begins so; 0 where there is none. */
  readonly metric: (beginning: string) => Effect.Effect<number>
}

/** The upstream behind {@link upstreamAt}. */
export const upstreamKey = "sk-upstream-5ecret-0123456789abcdef"

/** What a test's configuration is, over one OpenAI-compatible upstream called `up` that serves the model `m`. */
export const upstreamAt = (origin: string, rest: BallastConfigInput = {}): BallastConfigInput => ({
  ...rest,
  server: { host: "127.0.0.1", port: 0, adminPort: 0, ...rest.server },
  providers: {
    up: { kind: "openai-compatible", baseUrl: `${origin}/v1`, apiKey: { env: "UP_KEY" } },
    ...rest.providers
  },
  models: rest.models ?? [
    { alias: "m", candidates: ["up/upstream-model"], price: { inputPerMillion: 1, outputPerMillion: 2 } },
    { alias: "e", kind: "embedding", candidates: ["up/upstream-embed"], price: { inputPerMillion: 1 } }
  ]
})

/** Start it; it drains and is gone with the scope. `env` is all that its configuration can see of the environment. */
export const start = (
  input: BallastConfigInput,
  env: Readonly<Record<string, string>> = {}
): Effect.Effect<FaultServer, never, Scope.Scope> =>
  Effect.gen(function* () {
    const config = yield* Config.fromUnknown(input).pipe(
      Effect.provideService(
        ConfigProvider.ConfigProvider,
        ConfigProvider.fromEnv({ env: { UP_KEY: upstreamKey, ...env } })
      )
    )
    const context = yield* Layer.build(Ballast.layer(config))
    const running = yield* Effect.provideContext(Server.start(config), context)
    const adminUrl = `http://127.0.0.1:${running.admin.port}`
    return {
      url: `http://127.0.0.1:${running.api.port}`,
      port: running.api.port,
      adminUrl,
      running,
      bulkhead: (provider) => Context.get(context, Bulkhead).state(provider),
      breaker: (key) => Context.get(context, CircuitBreaker).state(key),
      metric: (beginning) =>
        Effect.map(Client.send(adminUrl, { path: "/metrics" }), ({ text }) => {
          const line = text.split("\n").find((each) => each.startsWith(beginning))
          return line === undefined ? 0 : Number(line.slice(line.lastIndexOf(" ") + 1))
        })
    } satisfies FaultServer
    // A registry of its own, or servers of one process would count together.
  }).pipe(Effect.provideService(Metric.MetricRegistry, new Map()), Effect.orDie)

/** Wait for a state that some other party reaches soon. The test's own time limit ends a wait that never ends. */
export const eventually = <A>(check: Effect.Effect<A>, ok: (value: A) => boolean): Effect.Effect<A> =>
  Effect.repeat(check, { schedule: Schedule.spaced(1), until: ok })

/** Until nothing is held any more: no call at `provider`, no request at the server, none in its gauge. */
export const atRest = (server: FaultServer, provider = "up") =>
  Effect.gen(function* () {
    yield* eventually(server.bulkhead(provider), ({ inFlight, queued }) => inFlight === 0 && queued === 0)
    yield* eventually(
      Effect.sync(() => server.running.active()),
      (active) => active === 0
    )
    yield* eventually(server.metric("llm_requests_in_flight"), (value) => value === 0)
  })
