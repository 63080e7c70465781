/**
 * Caps from the configuration, and those set by hand in this process: nothing
 * of the latter outlives it.
 */
import { Effect, Exit, Layer, PubSub, Semaphore, Stream } from "effect"
import type { BudgetPolicy, Caps } from "../../domain/budget.ts"
import type { TenantId } from "../../domain/caller.ts"
import { Audit } from "../../services/audit.ts"
import { BudgetCaps } from "../../services/budget-caps.ts"
import type { TenantCaps } from "../../services/budget-caps.ts"
import { checkAct } from "../keys/rules.ts"
import * as Rules from "./rules.ts"

/** The caps that the configuration gives to a tenant. */
export const configured = (policy: Pick<BudgetPolicy, "tenant" | "tenants">, tenant: TenantId): Caps =>
  Object.hasOwn(policy.tenants, tenant) ? (policy.tenants[tenant] ?? policy.tenant) : policy.tenant

/** Every tenant's caps are known here at all times, so `capsOf` never says `undefined`. */
export const layer = (policy: Pick<BudgetPolicy, "tenant" | "tenants">): Layer.Layer<BudgetCaps, never, Audit> =>
  Layer.effect(
    BudgetCaps,
    Effect.gen(function* () {
      const audit = yield* Audit
      const own = new Map<TenantId, Caps>()
      const changes = yield* PubSub.unbounded<TenantId | undefined>()
      const alone = Semaphore.makeUnsafe(1).withPermits(1)
      const capsOf = (tenant: TenantId): Caps => own.get(tenant) ?? configured(policy, tenant)
      const now = (tenant: TenantId): TenantCaps => ({ tenant, caps: capsOf(tenant), own: own.has(tenant) })

      const set: BudgetCaps["Service"]["set"] = (tenant, asked, act) =>
        Effect.gen(function* () {
          yield* checkAct(act)
          const caps = asked === undefined ? undefined : yield* Rules.check(asked)
          const { actor, reason } = act
          const entry = { actor, action: "budget.set", subject: tenant, reason }
          yield* audit.record({ ...entry, before: own.get(tenant) ?? null, after: caps ?? null })
          if (caps === undefined) own.delete(tenant)
          else own.set(tenant, caps)
          PubSub.publishUnsafe(changes, tenant)
          return now(tenant)
        }).pipe(alone)

      return BudgetCaps.of({
        capsOf,
        load: (tenant) => Exit.succeed(capsOf(tenant)),
        get: (tenant) => Effect.sync(() => now(tenant)),
        set,
        list: Effect.sync(() =>
          [...own.keys()].toSorted((one, other) => (one < other ? -1 : 1)).map((tenant) => now(tenant))
        ),
        changes: Stream.fromPubSub(changes)
      })
    })
  )
