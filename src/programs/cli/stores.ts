/**
 * The stores of a configuration, for commands that act on them, and who acts.
 * What cannot be done says what to do first.
 */
import { Config, Console, Effect, Layer, Logger, Option } from "effect"
import type { PostgresConfig, ResolvedConfig } from "../../domain/config.ts"
import type { StoreError } from "../../domain/errors.ts"
import type { Act } from "../../services/keys.ts"
import { CommandError } from "./failure.ts"

/** The configuration of `--config`, or where it is looked for. */
export const load = Effect.fnUntraced(function* (file: Option.Option<string>) {
  const { load: read } = yield* Effect.promise(() => import("../config.ts"))
  return yield* read(Option.getOrUndefined(file))
})

/** The configured Postgres, or what to do where there is none that outlives the command. */
export const postgresOf = ({ stores: { postgres } }: ResolvedConfig): Effect.Effect<PostgresConfig, CommandError> => {
  if (postgres === undefined) {
    return new CommandError({
      detail:
        'This needs Postgres, and the configuration names none. Add "stores": { "postgres": { "url": { "env": "DATABASE_URL" } } }, and name the file with --config.'
    })
  }
  return postgres.kind === "pglite" && postgres.directory === undefined
    ? new CommandError({
        detail:
          "The configured Postgres is in memory and would be gone with this command. Give stores.postgres a url, or a directory."
      })
    : Effect.succeed(postgres)
}

/** What a store's error means for whoever typed the command. */
export const explain = (error: StoreError): CommandError => {
  const { reason, store } = error
  switch (reason._tag) {
    case "Unavailable":
    case "Timeout":
      return new CommandError({
        detail: `${error.message} Is it running, and is stores.${store}.url right? Nothing was changed.`
      })
    case "NotFound":
    case "Conflict":
    case "Invalid":
      return new CommandError({ detail: `Not done: ${"detail" in reason ? reason.detail : error.message}.` })
    default:
      return new CommandError({ detail: error.message })
  }
}

/** stdout is for the result alone. */
const toStderr = Layer.succeed(Logger.LogToStderr, true)

/** Keys, caps, books and the audit table in Postgres. */
export const kept = (config: ResolvedConfig) =>
  Layer.unwrap(
    Effect.gen(function* () {
      const postgres = yield* postgresOf(config)
      const [Stores, Health, Wheel] = yield* Effect.promise(() =>
        Promise.all([
          import("../stores/postgres.ts"),
          import("../../layers/store-health/memory.ts"),
          import("../../layers/timers/wheel.ts")
        ] as const)
      )
      return Stores.kept(config, postgres).pipe(Layer.provide(Layer.merge(Health.layer, Wheel.layer)))
    })
  ).pipe(Layer.provide(toStderr))

/** The same and the counters, in Redis where one is configured. */
export const all = (config: ResolvedConfig) =>
  Layer.unwrap(
    Effect.gen(function* () {
      yield* postgresOf(config)
      const [Stores, Wheel] = yield* Effect.promise(() =>
        Promise.all([import("../stores.ts"), import("../../layers/timers/wheel.ts")] as const)
      )
      return Stores.layer(config).pipe(Layer.provide(Wheel.layer))
    })
  ).pipe(Layer.provide(toStderr))

/** The client alone, and what sums costs. */
export const costs = (config: ResolvedConfig) =>
  Layer.unwrap(
    Effect.gen(function* () {
      const postgres = yield* postgresOf(config)
      const [Client, Costs, Health, Wheel] = yield* Effect.promise(() =>
        Promise.all([
          import("../../layers/postgres/client.ts"),
          import("../../layers/costs/postgres.ts"),
          import("../../layers/store-health/memory.ts"),
          import("../../layers/timers/wheel.ts")
        ] as const)
      )
      return Costs.layer.pipe(
        Layer.provideMerge(Client.layer(postgres)),
        Layer.provide(Layer.merge(Health.layer, Wheel.layer))
      )
    })
  ).pipe(Layer.provide(toStderr))

/** Who acts here: `cli:` and the name that the system gives, which is a claim and no proof. */
export const act = (reason: string): Effect.Effect<Act> =>
  Config.String("USER").pipe(
    Effect.orElseSucceed(() => "unknown"),
    Effect.map((user) => ({ actor: `cli:${user === "" ? "unknown" : user}`, reason }))
  )

/** The result as JSON where `--json` is given, else as text. */
export const print = (json: boolean, value: unknown, text: () => string) =>
  Console.log(json ? JSON.stringify(value, undefined, 2) : text())
