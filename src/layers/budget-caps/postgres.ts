/**
 * Caps in Postgres over those of the configuration: remembered as keys are, and
 * read again when they were changed, by whichever process.
 */
import { Clock, Effect, Layer, PubSub, Schema, Stream } from "effect"
import type { BudgetPolicy, Cap, Caps } from "../../domain/budget.ts"
import { TenantId } from "../../domain/caller.ts"
import { StoreError } from "../../domain/errors.ts"
import { Audit } from "../../services/audit.ts"
import { BudgetCaps } from "../../services/budget-caps.ts"
import type { TenantCaps } from "../../services/budget-caps.ts"
import * as Guard from "../../services/guard.ts"
import { Changes } from "../keys/changes.ts"
import type { Change } from "../keys/changes.ts"
import * as ReadThrough from "../keys/read-through.ts"
import { checkAct } from "../keys/rules.ts"
import { Postgres } from "../postgres/client.ts"
import { configured } from "./config.ts"
import * as Rules from "./rules.ts"

/**
 * How long caps are remembered, as `layers/tenants/postgres.ts` says. The grace
 * is longer than a key's: caps that are a bit old are better than none at all.
 */
const remembered = { lifeMs: 30_000, missingLifeMs: 5_000, graceMs: 900_000, waitMs: 250, lookupMs: 1_000, max: 20_000 }

/** Numbers come as text, because they are wider than JavaScript's. */
const Amount = Schema.NullOr(Schema.FiniteFromString.check(Schema.isInt()))
const Row = Schema.Struct({
  tenant: TenantId,
  window: Schema.Literals(["day", "month"]),
  microUsd: Amount,
  tokens: Amount
})
const decode = Schema.decodeUnknownEffect(Schema.Array(Row))

const capOf = ({ microUsd, tokens }: typeof Row.Type): Cap => ({
  ...(microUsd === null ? {} : { microUsd }),
  ...(tokens === null ? {} : { tokens })
})

/** Caps by tenant. A window without numbers is no cap: so it is kept that a tenant has none, whatever the configuration says. */
const collect = (rows: ReadonlyArray<typeof Row.Type>): ReadonlyMap<TenantId, Caps> => {
  const found = new Map<TenantId, Caps>()
  for (const row of rows) {
    const before = found.get(row.tenant) ?? {}
    const isCap = row.microUsd !== null || row.tokens !== null
    found.set(row.tenant, isCap ? { ...before, [row.window]: capOf(row) } : before)
  }
  return found
}

/** What the configuration says of caps. */
type Configured = Pick<BudgetPolicy, "tenant" | "tenants">

/** A tenant's caps: its own, else the configuration's. */
const capsFrom = (policy: Configured, own: ReadonlyMap<TenantId, Caps>, tenant: TenantId): TenantCaps => {
  const caps = own.get(tenant)
  return { tenant, caps: caps ?? configured(policy, tenant), own: caps !== undefined }
}

const make = (policy: Configured) =>
  Effect.gen(function* () {
    const { ask, sql, transaction } = yield* Postgres
    const audit = yield* Audit
    const feed = yield* Changes
    const clock = yield* Clock.Clock
    const changed = yield* PubSub.unbounded<TenantId | undefined>()

    const rows = (where: ReturnType<typeof sql.and>) =>
      sql`SELECT tenant, "window", micro_usd::text AS "microUsd", tokens::text FROM budget_caps
          WHERE feature IS NULL AND ${where} ORDER BY tenant`.pipe(
        Effect.flatMap(decode),
        Effect.catchTag("SchemaError", ({ message }) =>
          Effect.fail(
            new StoreError({
              store: "postgres",
              reason: { _tag: "Schema", detail: `caps of another shape: ${message}` }
            })
          )
        ),
        Effect.map(collect)
      )

    const caps = yield* ReadThrough.make<TenantCaps>({
      ...remembered,
      now: () => clock.currentTimeMillisUnsafe(),
      healthy: feed.healthy,
      lookup: (ids) =>
        Effect.map(ask(rows(sql`tenant = ANY(${ids}::text[])`), remembered.lookupMs), (own) => {
          const tenants = ids.map((id) => TenantId.make(id))
          return new Map(tenants.map((tenant) => [tenant, capsFrom(policy, own, tenant)]))
        })
    })

    const heard = ({ table, tenant }: Change) => {
      if (table !== undefined && table !== "budget_caps") return
      if (tenant === undefined) caps.doubt()
      else caps.evict(tenant)
      PubSub.publishUnsafe(changed, tenant === undefined ? undefined : TenantId.make(tenant))
    }
    yield* feed.subscribe(heard)

    const own = (tenant: TenantId) => rows(sql`tenant = ${tenant}`)

    const insert = (tenant: TenantId, window: "day" | "month", { microUsd = null, tokens = null }: NullableCap) =>
      sql`INSERT INTO budget_caps (tenant, "window", micro_usd, tokens) VALUES (${tenant}, ${window}, ${microUsd}, ${tokens})`

    const set: BudgetCaps["Service"]["set"] = (tenant, asked, { actor, reason }) =>
      Effect.gen(function* () {
        yield* checkAct({ actor, reason })
        const wanted = asked === undefined ? undefined : yield* Rules.check(asked)
        const act = Effect.gen(function* () {
          // One act at a time: what this one has looked at stays so until it is done.
          yield* sql`SELECT 1 FROM ballast_revision FOR UPDATE`
          const before = (yield* own(tenant)).get(tenant) ?? null
          yield* sql`DELETE FROM budget_caps WHERE tenant = ${tenant} AND feature IS NULL`
          if (wanted !== undefined) {
            yield* insert(tenant, "day", wanted.day ?? {})
            yield* insert(tenant, "month", wanted.month ?? {})
          }
          yield* audit.record({ actor, action: "budget.set", subject: tenant, before, after: wanted ?? null, reason })
          return capsFrom(policy, yield* own(tenant), tenant)
        })
        const done = yield* transaction(act)
        heard({ table: "budget_caps", tenant })
        yield* feed.look
        return done
      })

    return BudgetCaps.of({
      capsOf: (tenant) => caps.peek(tenant)?.value?.caps,
      load: (tenant) =>
        Guard.chain(caps.load(tenant), ({ value }) => Effect.succeed(value?.caps ?? configured(policy, tenant))),
      get: (tenant) => Effect.map(ask(own(tenant)), (found) => capsFrom(policy, found, tenant)),
      set,
      list: Effect.map(ask(rows(sql`true`)), (found) =>
        [...found.keys()].map((tenant) => capsFrom(policy, found, tenant))
      ),
      changes: Stream.fromPubSub(changed)
    })
  })

/** A cap with its missing numbers as SQL has them. */
interface NullableCap {
  readonly microUsd?: number | null
  readonly tokens?: number | null
}

/** Caps in the Postgres of the context, over those of `policy`. */
export const layer = (policy: Configured): Layer.Layer<BudgetCaps, never, Audit | Changes | Postgres> =>
  Layer.effect(BudgetCaps, make(policy))
