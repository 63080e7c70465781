/** `ballast migrate`: bring the schema of the configured Postgres to what this version needs. */
import { Effect } from "effect"
import { Command } from "effect/cli"
import { configFlag, jsonFlag } from "./flags.ts"
import * as Stores from "./stores.ts"

/** The command. Twice, or from many machines at once, is the same as once. */
export const migrate = Command.make(
  "migrate",
  { config: configFlag, json: jsonFlag },
  Effect.fnUntraced(function* ({ config: file, json }) {
    const config = yield* Stores.load(file)
    const Migrate = yield* Effect.promise(() => import("../../layers/postgres/migrate.ts"))
    const done = yield* Migrate.migrate().pipe(
      Effect.provide(Stores.costs(config)),
      Effect.catchTag("StoreError", (error) => Stores.explain(error))
    )
    yield* Stores.print(json, done, () =>
      done.length === 0
        ? "The schema is up to date."
        : `Ran ${done.map(({ id, name }) => `${id} ${name}`).join(", ")}. The schema is up to date.`
    )
  })
).pipe(
  Command.withDescription(
    "Bring the schema of stores.postgres up to date. Servers do it too when they start; this is for those who may not."
  ),
  Command.withShortDescription("Bring Postgres' schema up to date")
)
