/** `ballast budget`: what tenants may spend, and what they have spent. */
import { Clock, Effect, Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import type { Cap, Caps } from "../../domain/budget.ts"
import { TenantId } from "../../domain/caller.ts"
import { BudgetCaps } from "../../services/budget-caps.ts"
import type { TenantCaps } from "../../services/budget-caps.ts"
import { Budget } from "../../services/budget.ts"
import type { BudgetStatus } from "../../services/budget.ts"
import { Ledger } from "../../services/ledger.ts"
import { dollars, dollarsFlag } from "./amounts.ts"
import { cost } from "./budget-cost.ts"
import { recompute } from "./budget-recompute.ts"
import { CommandError } from "./failure.ts"
import { configFlag, jsonFlag, reasonFlag, wholeNumber } from "./flags.ts"
import * as Stores from "./stores.ts"
import { table } from "./table.ts"

const tenantArgument = Argument.String("tenant").pipe(Argument.withMetavar("TENANT"))

const amount = (unit: "micro-usd" | "tokens", value: number) => (unit === "tokens" ? `${value} tokens` : dollars(value))

const capText = ({ microUsd, tokens }: Cap = {}): string =>
  [...(microUsd === undefined ? [] : [dollars(microUsd)]), ...(tokens === undefined ? [] : [`${tokens} tokens`])].join(
    " and "
  ) || "no cap"

/** Caps in one line. */
export const capsText = ({ day, month }: Caps): string => `${capText(day)} a day, ${capText(month)} a month`

const showing = (
  { caps, own, tenant }: TenantCaps,
  counted: BudgetStatus["caps"] | undefined,
  books: { readonly day: number; readonly month: number }
): string =>
  [
    `Tenant ${tenant}: ${capsText(caps)} (${own ? "its own" : "the configuration's"})`,
    `In the books: ${dollars(books.day)} today, ${dollars(books.month)} this month (UTC)`,
    ...(counted === undefined
      ? ["Counters are in each server's memory, because the configuration names no Redis."]
      : counted.length === 0
        ? []
        : [
            table(
              [
                { title: "window" },
                { title: "limit", right: true },
                { title: "spent", right: true },
                { title: "reserved", right: true },
                { title: "left", right: true }
              ],
              counted.map(({ limit, reserved, spent, unit, window }) => [
                window,
                ...[limit, spent, reserved, Math.max(0, limit - spent - reserved)].map((each) => amount(unit, each))
              ])
            )
          ])
  ].join("\n")

const show = Command.make(
  "show",
  { tenant: tenantArgument, config: configFlag, json: jsonFlag },
  Effect.fnUntraced(function* ({ config: file, json, tenant: name }) {
    const config = yield* Stores.load(file)
    const tenant = TenantId.make(name)
    const work = Effect.gen(function* () {
      const caps = yield* (yield* BudgetCaps).get(tenant)
      const counted = config.stores.redis === undefined ? undefined : (yield* (yield* Budget).status(tenant)).caps
      const ledger = yield* Ledger
      const now = new Date(yield* Clock.currentTimeMillis)
      const [year, month, day] = [now.getUTCFullYear(), now.getUTCMonth(), now.getUTCDate()]
      const since = (fromMs: number) =>
        Effect.map(ledger.sum({ tenant, fromMs, toMs: Date.UTC(year, month, day + 1) }), (sum) => sum.microUsd)
      const books = { day: yield* since(Date.UTC(year, month, day)), month: yield* since(Date.UTC(year, month)) }
      yield* Stores.print(json, { ...caps, counted: counted ?? null, books }, () => showing(caps, counted, books))
    })
    yield* work.pipe(
      Effect.provide(Stores.all(config)),
      Effect.catchTag("StoreError", (error) => Stores.explain(error))
    )
  })
).pipe(
  Command.withDescription("Show a tenant's caps, what is counted under them, and what the books say"),
  Command.withShortDescription("Show a tenant's budget")
)

const cap = (microUsd: Option.Option<number>, tokens: Option.Option<number>): Cap => ({
  ...(Option.isNone(microUsd) ? {} : { microUsd: microUsd.value }),
  ...(Option.isNone(tokens) ? {} : { tokens: tokens.value })
})

const set = Command.make(
  "set",
  {
    tenant: tenantArgument,
    config: configFlag,
    json: jsonFlag,
    dayUsd: dollarsFlag("day-usd").pipe(Flag.optional, Flag.withDescription("Most dollars in a UTC day")),
    monthUsd: dollarsFlag("month-usd").pipe(Flag.optional, Flag.withDescription("Most dollars in a UTC month")),
    dayTokens: wholeNumber("day-tokens", 0, Number.MAX_SAFE_INTEGER).pipe(
      Flag.optional,
      Flag.withDescription("Most tokens in a UTC day")
    ),
    monthTokens: wholeNumber("month-tokens", 0, Number.MAX_SAFE_INTEGER).pipe(
      Flag.optional,
      Flag.withDescription("Most tokens in a UTC month")
    ),
    none: Flag.Boolean("none").pipe(
      Flag.withDefault(false),
      Flag.withDescription("No caps at all, whatever the configuration says")
    ),
    configured: Flag.Boolean("configured").pipe(
      Flag.withDefault(false),
      Flag.withDescription("The configuration's caps again")
    ),
    reason: reasonFlag
  },
  Effect.fnUntraced(function* (flags) {
    const windows = { day: cap(flags.dayUsd, flags.dayTokens), month: cap(flags.monthUsd, flags.monthTokens) }
    const wanted: Caps = {
      ...(Object.keys(windows.day).length === 0 ? {} : { day: windows.day }),
      ...(Object.keys(windows.month).length === 0 ? {} : { month: windows.month })
    }
    const ways = [Object.keys(wanted).length > 0, flags.none, flags.configured].filter(Boolean).length
    if (ways !== 1) {
      return yield* new CommandError({
        detail:
          "Give the caps (--day-usd, --month-usd, --day-tokens, --month-tokens: those not given are no caps), or --none, or --configured."
      })
    }
    const config = yield* Stores.load(flags.config)
    const act = yield* Stores.act(flags.reason)
    const tenant = TenantId.make(flags.tenant)
    const done = yield* Effect.flatMap(BudgetCaps, (caps) =>
      caps.set(tenant, flags.configured ? undefined : wanted, act)
    ).pipe(
      Effect.provide(Stores.kept(config)),
      Effect.catchTag("StoreError", (error) => Stores.explain(error))
    )
    yield* Stores.print(
      flags.json,
      done,
      () => `Tenant ${tenant}: ${capsText(done.caps)} (${done.own ? "its own" : "the configuration's"}).`
    )
  })
).pipe(
  Command.withDescription("Set all caps of a tenant; running servers keep them within a second"),
  Command.withShortDescription("Set a tenant's caps"),
  Command.withExamples([
    { command: 'ballast budget set acme --day-usd 100 --month-usd 2000 --reason "contract"', description: "Two caps" }
  ])
)

/** The command with its subcommands. */
export const budget = Command.make("budget").pipe(
  Command.withDescription("Show, set and recompute budgets, and what was spent"),
  Command.withSubcommands([show, set, recompute, cost])
)
