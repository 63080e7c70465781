/** Costs from the view `cost` over the ledger in Postgres. */
import { Effect, Layer, Schema } from "effect"
import { StoreError } from "../../domain/errors.ts"
import { Costs } from "../../services/costs.ts"
import type { Dimension } from "../../services/costs.ts"
import { Postgres } from "../postgres/client.ts"

/** The view's columns. These texts, and no others, become part of the statement. */
const columns: { readonly [D in Dimension]: string } = {
  day: "day::text",
  tenant: "tenant",
  user: "end_user",
  feature: "feature",
  model: "model",
  prompt: "prompt_version"
}

/** Sums come as text: they may be wider than JavaScript's numbers, which then round them. */
const Row = Schema.Struct({
  of: Schema.Array(Schema.NullOr(Schema.String)),
  requests: Schema.FiniteFromString,
  inputTokens: Schema.FiniteFromString,
  outputTokens: Schema.FiniteFromString,
  microUsd: Schema.FiniteFromString
})
const decode = Schema.decodeUnknownEffect(Schema.Array(Row))

/** A long month of a large deployment is many rows; nobody waits for it on a hot path. In ms. */
const withinMs = 60_000

export const layer: Layer.Layer<Costs, never, Postgres> = Layer.effect(
  Costs,
  Effect.gen(function* () {
    const { ask, sql } = yield* Postgres
    return Costs.of({
      by: (dimensions, days, tenant) => {
        const of = dimensions.map((dimension) => columns[dimension]).join(", ")
        const group = of === "" ? sql`` : sql`GROUP BY ${sql.literal(of)}`
        return ask(
          sql`SELECT ARRAY[${sql.literal(of)}]::text[] AS of, coalesce(sum(requests), 0)::text AS requests,
                     coalesce(sum(input_tokens), 0)::text AS "inputTokens",
                     coalesce(sum(output_tokens), 0)::text AS "outputTokens",
                     coalesce(sum(micro_usd), 0)::text AS "microUsd"
              FROM cost
              WHERE day > (now() AT TIME ZONE 'UTC')::date - ${days}::int
                AND ${tenant === undefined ? sql`true` : sql`tenant = ${tenant}`}
              ${group}
              ORDER BY sum(micro_usd) DESC NULLS LAST, 1`,
          withinMs
        ).pipe(
          Effect.flatMap(decode),
          Effect.catchTag("SchemaError", ({ message }) =>
            Effect.fail(
              new StoreError({
                store: "postgres",
                reason: { _tag: "Schema", detail: `costs of another shape: ${message}` }
              })
            )
          )
        )
      }
    })
  })
)
