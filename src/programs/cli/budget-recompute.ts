/**
 * `ballast budget recompute`: count what was spent anew from the ledger; or,
 * with `--from-usage`, make caps from past use and plan. Once, or on a schedule.
 */
import { Console, Effect, Option, Schedule } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { TenantId } from "../../domain/caller.ts"
import type { Plan } from "../../domain/caller.ts"
import type { Caps } from "../../domain/budget.ts"
import type { ResolvedConfig } from "../../domain/config.ts"
import { Audit } from "../../services/audit.ts"
import { BudgetCaps } from "../../services/budget-caps.ts"
import { Budget } from "../../services/budget.ts"
import { Costs } from "../../services/costs.ts"
import { Keys } from "../../services/keys.ts"
import type { Act } from "../../services/keys.ts"
import { propose } from "../budgets/propose.ts"
import type { Day } from "../budgets/propose.ts"
import { recompute as count } from "../budgets/recompute.ts"
import { dollars, durationFlag } from "./amounts.ts"
import { CommandError } from "./failure.ts"
import { configFlag, jsonFlag, reasonFlag } from "./flags.ts"
import * as Stores from "./stores.ts"
import { table } from "./table.ts"

const dayMs = 86_400_000

/** Tenants whose counters may be wrong: whoever spent anything in this month or the one before, and whoever has caps. */
const spenders = Effect.fnUntraced(function* (config: ResolvedConfig) {
  const costs = yield* Effect.flatMap(Costs, (port) => port.by(["tenant"], 62)).pipe(
    Effect.provide(Stores.costs(config))
  )
  const own = yield* Effect.flatMap(BudgetCaps, (caps) => caps.list).pipe(Effect.provide(Stores.kept(config)))
  return [...new Set([...costs.flatMap(({ of: [name] }) => name ?? []), ...own.map(({ tenant }) => tenant)])].toSorted()
})

/** Count anew; says where each tenant's caps stand then. */
const recount = Effect.fnUntraced(function* (
  config: ResolvedConfig,
  only: Option.Option<string>,
  act: Act,
  json: boolean
) {
  if (config.stores.redis === undefined) {
    return yield* new CommandError({
      detail:
        "There is nothing to count anew: the configuration names no Redis, so each server counts in its own memory."
    })
  }
  const tenants = Option.isSome(only) ? [only.value] : yield* spenders(config)
  const done = yield* Effect.gen(function* () {
    const services = { audit: yield* Audit, budget: yield* Budget }
    return yield* Effect.forEach(tenants, (tenant) =>
      Effect.map(count(services, TenantId.make(tenant), act), ({ caps }) => ({ tenant, caps }))
    )
  }).pipe(Effect.provide(Stores.all(config)))
  yield* Stores.print(json, done, () =>
    table(
      [{ title: "tenant" }, { title: "cap" }, { title: "spent", right: true }, { title: "limit", right: true }],
      done.flatMap(({ caps, tenant }) =>
        caps.map(({ limit, spent, unit, window }) => {
          const shown = (value: number) => (unit === "tokens" ? `${value} tokens` : dollars(value))
          return [tenant, window, shown(spent), shown(limit)]
        })
      )
    )
  )
})

interface Wish {
  readonly only: Option.Option<string>
  readonly days: number
  readonly factor: number
  readonly set: boolean
}

const money = (micro: number | undefined) => (micro === undefined ? "-" : dollars(micro))

/** Caps from past use, shown, and set where that is wished. */
const fromUsage = Effect.fnUntraced(function* (config: ResolvedConfig, wish: Wish, act: Act, json: boolean) {
  const only = Option.getOrUndefined(Option.map(wish.only, (name) => TenantId.make(name)))
  const rows = yield* Effect.flatMap(Costs, (costs) => costs.by(["tenant", "day"], wish.days, only)).pipe(
    Effect.provide(Stores.costs(config))
  )
  const used = new Map<string, Array<Day>>()
  for (const { inputTokens, microUsd, of, outputTokens } of rows) {
    const [tenant] = of
    if (tenant === undefined || tenant === null) continue
    const days = used.get(tenant) ?? []
    days.push({ microUsd, tokens: inputTokens + outputTokens })
    used.set(tenant, days)
  }
  const results = yield* Effect.gen(function* () {
    const port = yield* BudgetCaps
    const plans = new Map<string, Plan>([
      ...config.auth.keys.map(({ plan, tenant }): [string, Plan] => [tenant, plan]),
      ...(yield* (yield* Keys).list()).map(({ plan, tenant }): [string, Plan] => [tenant, plan])
    ])
    const found: Array<{ tenant: string; plan: Plan; now: Caps; proposed: Caps }> = []
    for (const [name, days] of used) {
      const tenant = TenantId.make(name)
      const plan = plans.get(name) ?? "standard"
      const { factor } = wish
      const { premiumFactor } = config.policies.rateLimits
      const proposed = propose({ plan, days, periodDays: wish.days, factor, premiumFactor })
      if (proposed === undefined) continue
      const { caps: now } = yield* port.get(tenant)
      if (wish.set) yield* port.set(tenant, proposed, act)
      found.push({ tenant, plan, now, proposed })
    }
    return found
  }).pipe(Effect.provide(Stores.kept(config)))
  yield* Stores.print(json, { set: wish.set, tenants: results }, () =>
    results.length === 0
      ? "Nobody spent anything in that time, so there is nothing to go by."
      : [
          table(
            [
              { title: "tenant" },
              { title: "plan" },
              ...[
                "day now",
                wish.set ? "day set" : "day proposed",
                "month now",
                wish.set ? "month set" : "month proposed"
              ].map((title) => ({ title, right: true }))
            ],
            results.map(({ now, plan, proposed, tenant }) => [
              tenant,
              plan,
              money(now.day?.microUsd),
              money(proposed.day?.microUsd),
              money(now.month?.microUsd),
              money(proposed.month?.microUsd)
            ])
          ),
          ...(wish.set ? [] : ["Nothing was changed. Set them with --set."])
        ].join("\n")
  )
})

/** The command. */
export const recompute = Command.make(
  "recompute",
  {
    tenant: Argument.String("tenant").pipe(
      Argument.optional,
      Argument.withMetavar("TENANT"),
      Argument.withDescription("One tenant; all of them where missing")
    ),
    config: configFlag,
    json: jsonFlag,
    schedule: durationFlag("schedule").pipe(
      Flag.filter(
        (ms) => ms >= 1_000,
        () => "a second at least"
      ),
      Flag.optional,
      Flag.withDescription("Go on, and do it again so long after each time, e.g. 1h")
    ),
    usage: durationFlag("from-usage").pipe(
      Flag.filter(
        (ms) => ms >= dayMs && ms <= 3_660 * dayMs,
        () => "between 1d and 3660d"
      ),
      Flag.optional,
      Flag.withDescription("Make caps from what was spent in the last days, e.g. 30d, and from the plan")
    ),
    factor: Flag.Finite("factor").pipe(
      Flag.filter(
        (factor) => factor > 0 && factor <= 1_000,
        () => "a factor above 0, up to 1000"
      ),
      Flag.withDefault(1.5),
      Flag.withDescription("With --from-usage: how many times the past use; 1.5 where missing")
    ),
    set: Flag.Boolean("set").pipe(
      Flag.withDefault(false),
      Flag.withDescription("With --from-usage: set the caps, do not only show them")
    ),
    reason: reasonFlag
  },
  Effect.fnUntraced(function* ({ config: file, factor, json, reason, schedule, set, tenant, usage }) {
    const config = yield* Stores.load(file)
    const act = yield* Stores.act(reason)
    const once = (by: Act) =>
      Option.isSome(usage)
        ? fromUsage(config, { only: tenant, days: Math.ceil(usage.value / dayMs), factor, set }, by, json)
        : recount(config, tenant, by, json)
    const first = once(act).pipe(Effect.catchTag("StoreError", (error) => Stores.explain(error)))
    if (Option.isNone(schedule)) return yield* first
    yield* first
    // A store that is away for one time is there again for another.
    const again = once({ ...act, actor: "schedule" }).pipe(
      Effect.catchTag("StoreError", (error) => Console.error(error.message))
    )
    return yield* Effect.andThen(Effect.sleep(schedule.value), Effect.repeat(again, Schedule.spaced(schedule.value)))
  })
).pipe(
  Command.withDescription(
    "Count what was spent anew from the ledger; with --from-usage, make caps from past use and plan instead. With --schedule, again and again."
  ),
  Command.withShortDescription("Count anew from the ledger, or make caps from past use"),
  Command.withExamples([
    { command: 'ballast budget recompute --reason "after the outage"', description: "Counters of all tenants" },
    {
      command: 'ballast budget recompute --from-usage 30d --factor 1.5 --set --schedule 24h --reason "monthly review"',
      description: "Caps that follow the use, every day"
    }
  ])
)
