/** `ballast budget cost`: what was spent, by tenant, user, feature, model, prompt or day. */
import { Effect, Option, Schema } from "effect"
import { Command, Flag } from "effect/cli"
import { TenantId } from "../../domain/caller.ts"
import { Costs, Dimension } from "../../services/costs.ts"
import type { Cost } from "../../services/costs.ts"
import { dollars } from "./amounts.ts"
import { configFlag, jsonFlag, tenantFlag, wholeNumber } from "./flags.ts"
import * as Stores from "./stores.ts"
import { table } from "./table.ts"

const decode = Schema.decodeUnknownOption(Schema.UniqueArray(Dimension))

const byFlag = Flag.String("by").pipe(
  Flag.withDefault("tenant"),
  Flag.filterMap(
    (text) => decode(text.split(",").map((each) => each.trim())),
    (text) => `some of ${Dimension.literals.join(", ")}, separated by commas, not '${text}'`
  ),
  Flag.withMetavar("DIMENSIONS"),
  Flag.withDescription(`Some of ${Dimension.literals.join(", ")}, separated by commas; tenant where missing`)
)

const listing = (by: ReadonlyArray<Dimension>, costs: ReadonlyArray<Cost>): string =>
  costs.length === 0
    ? "Nothing was spent in these days."
    : table(
        [
          ...by.map((title) => ({ title })),
          ...["requests", "input tokens", "output tokens", "cost"].map((title) => ({ title, right: true }))
        ],
        costs.map(({ inputTokens, microUsd, of, outputTokens, requests }) => [
          ...of.map((value) => value ?? "-"),
          String(requests),
          String(inputTokens),
          String(outputTokens),
          dollars(microUsd)
        ])
      )

/** The command. */
export const cost = Command.make(
  "cost",
  {
    config: configFlag,
    json: jsonFlag,
    by: byFlag,
    days: wholeNumber("days", 1, 3_660).pipe(
      Flag.withDefault(30),
      Flag.withMetavar("DAYS"),
      Flag.withDescription("How many UTC days, today included; 30 where missing")
    ),
    tenant: tenantFlag.pipe(Flag.optional)
  },
  Effect.fnUntraced(function* ({ by, config: file, days, json, tenant }) {
    const config = yield* Stores.load(file)
    const only = Option.getOrUndefined(Option.map(tenant, (name) => TenantId.make(name)))
    const costs = yield* Effect.flatMap(Costs, (port) => port.by(by, days, only)).pipe(
      Effect.provide(Stores.costs(config)),
      Effect.catchTag("StoreError", (error) => Stores.explain(error))
    )
    const named = costs.map(({ of, ...rest }) => ({
      ...Object.fromEntries(by.map((dimension, i) => [dimension, of[i] ?? null])),
      ...rest
    }))
    yield* Stores.print(json, named, () => listing(by, costs))
  })
).pipe(
  Command.withDescription("What was spent, by tenant, user, feature, model, prompt or day, dearest first"),
  Command.withShortDescription("What was spent, and by whom")
)
