/**
 * The incident, before the reader's eyes: the same recorded traffic against the
 * naive glue (the real `openai` and `p-retry` packages) and against the real
 * Ballast server, at the same time, each in front of a simulated provider of
 * its own with the same options. Everything goes over real HTTP; every number
 * is measured in the run.
 */
import { Console, Effect, Fiber, Layer, Redacted, Schema } from "effect"
import type { Scope } from "effect"
import { TenantId } from "../domain/caller.ts"
import type { ResolvedConfig } from "../domain/config.ts"
import { fromDollars } from "../domain/money.ts"
import * as Ballast from "./ballast.ts"
import * as Config from "./config.ts"
import * as Clients from "./demo/clients.ts"
import * as Display from "./demo/display.ts"
import * as Result from "./demo/result.ts"
import * as Scenario from "./demo/scenario.ts"
import * as Side from "./demo/side.ts"
import * as Tally from "./demo/tally.ts"
import * as Traffic from "./demo/traffic.ts"
import * as Server from "./server.ts"
import * as Sim from "./sim.ts"

/** What `ballast demo` is asked for. */
export interface DemoOptions {
  /** Users in the recorded traffic; a fast demo has fewer. */
  readonly requests: number
  readonly seed: number | undefined
  readonly fast: boolean
  readonly json: boolean
}

/** The demo could not run. */
export class DemoError extends Schema.TaggedError<DemoError>()("DemoError", { detail: Schema.String }) {
  override get message(): string {
    return this.detail
  }
}

/** The seed where none is asked for. */
const defaultSeed = 905

const keyOf = (tenant: string) => `demo-${tenant}`

/** The demo's Ballast: the scenario's file, and a key for each tenant. */
const configOf = (scenario: Scenario.Scenario, baseUrl: string): Effect.Effect<ResolvedConfig, DemoError> =>
  Config.fromUnknown(scenario.config(baseUrl), "the demo's configuration").pipe(
    Effect.mapError(({ message }) => new DemoError({ detail: message })),
    Effect.map((config) => ({
      ...config,
      auth: {
        mode: "keys" as const,
        keys: Traffic.tenants.map((tenant) => ({
          key: Redacted.make(keyOf(tenant)),
          tenant: TenantId.make(tenant),
          plan: "standard" as const
        }))
      }
    }))
  )

const target = (url: string): Clients.Target => ({ baseUrl: `${url}/v1`, model: Scenario.model.alias, keyOf })

const provider = (scenario: Scenario.Scenario) =>
  Sim.serve(scenario.provider, { host: "127.0.0.1", port: 0 }).pipe(
    Effect.mapError((error) => new DemoError({ detail: `The simulated provider could not start: ${error.message}` }))
  )

/** Start a Ballast server before `upstream`; gives its address. */
const gateway = Effect.fnUntraced(function* (
  scenario: Scenario.Scenario,
  upstream: string
): Effect.fn.Return<string, DemoError, Scope.Scope> {
  const config = yield* configOf(scenario, `${upstream}/v1`)
  const services = yield* Effect.orDie(Layer.build(Ballast.layer(config)))
  const { api } = yield* Server.start(config).pipe(
    Effect.provideContext(services),
    Effect.mapError(({ message }) => new DemoError({ detail: message }))
  )
  return `http://${api.host}:${api.port}`
})

/** Play the incident and measure it; `screen` shows the progress. */
export const measure = Effect.fnUntraced(function* (
  options: DemoOptions,
  screen: Display.Screen | undefined
): Effect.fn.Return<Result.Result, DemoError, Scope.Scope> {
  const packages = yield* Effect.mapError(Clients.packages, ({ message }) => new DemoError({ detail: message }))
  const scenario = Scenario.make({ ...options, seed: options.seed ?? defaultSeed })
  const description = Scenario.describe(scenario)
  if (screen !== undefined) yield* screen.write(`${description.join("\n")}\n\n`)

  const [direct, behind] = yield* Effect.all([provider(scenario), provider(scenario)])
  const sideOf = (name: string, sim: typeof direct, ask: Clients.Ask) => ({ name, sim, ask, tally: Tally.make() })
  const naive = sideOf("naive glue", direct, Clients.naive(packages, target(direct.url)))
  const guarded = sideOf("Ballast", behind, Clients.guarded(packages, target(yield* gateway(scenario, behind.url))))

  const view = ({ name, sim, tally }: typeof naive): Display.View => ({
    name,
    live: tally.live,
    providerCalls: Effect.map(sim.control.stats, ({ calls }) => calls)
  })
  const display = screen === undefined ? Effect.never : Display.run(scenario, [view(naive), view(guarded)], screen)
  const watching = yield* Effect.forkChild(display)

  const play = ({ ask, tally }: typeof naive) => Effect.scoped(Side.play(scenario, ask, tally))
  yield* Effect.all([play(naive), play(guarded)], { concurrency: 2 })
  yield* Fiber.interrupt(watching)
  // Both applications have ended and their calls are closed; the providers hear of it a moment later.
  yield* Effect.sleep("200 millis")

  const price = {
    input: fromDollars(Scenario.model.price.inputPerMillion),
    output: fromDollars(Scenario.model.price.outputPerMillion)
  }
  const result = ({ sim, tally }: typeof naive) =>
    Effect.map(sim.control.stats, (stats) => Result.side(tally.summary(), stats, price))
  return {
    scenario: description,
    seed: scenario.seed,
    patienceMs: scenario.patienceMs,
    naive: yield* result(naive),
    ballast: yield* result(guarded)
  }
})

/** `ballast demo`: play the incident with a progress display, then print the table, or one JSON object. */
export const demo = (options: DemoOptions): Effect.Effect<void, DemoError> =>
  Effect.scoped(
    Effect.gen(function* () {
      const result = yield* measure(options, options.json ? undefined : yield* Display.stderr)
      yield* options.json
        ? Console.log(JSON.stringify(result, null, 2))
        : Console.log(["", ...Result.table(result), "", Result.sentence(result)].join("\n"))
    })
  )
