/**
 * Who asks: the identity that every limit, key, metric and ledger entry hangs
 * on. The tenant is mandatory, because it is part of every key Ballast makes.
 */
import { Schema } from "effect"

/** The customer of ours who pays: an opaque id, never empty. */
export const TenantId = Schema.NonEmptyString.pipe(Schema.brand("TenantId"))
export type TenantId = typeof TenantId.Type

/** Service level bought by the tenant; limits of a plan are multiples of the base limits. */
export const Plan = Schema.Literals(["standard", "premium"])
export type Plan = typeof Plan.Type

/** How important a feature's calls are while they wait for a provider. */
export const Priority = Schema.Literals(["critical", "standard", "background"])
export type Priority = typeof Priority.Type

/**
 * One caller.
 *
 * - `user`: the tenant's own end user, unique within the tenant only
 * - `ip`: the client's address as text
 * - `feature`: which feature of the product asks; selects timeouts and kill switches
 * - `critical`: `false` marks a feature that may be cut early (shorter hard timeout)
 * - `priority`: which share of a provider's places it asks for; where it is absent, `critical` decides (`priorityOf`)
 */
export const Caller = Schema.Struct({
  tenant: TenantId,
  user: Schema.optionalKey(Schema.NonEmptyString),
  ip: Schema.optionalKey(Schema.NonEmptyString),
  plan: Plan,
  feature: Schema.NonEmptyString,
  critical: Schema.Boolean,
  priority: Schema.optionalKey(Priority)
})
export interface Caller extends Schema.Schema.Type<typeof Caller> {}

/** A caller with the usual values filled in: plan `standard`, feature `default`, critical. */
export const make = (
  tenant: string,
  rest: { readonly [K in Exclude<keyof Caller, "tenant">]?: Caller[K] | undefined } = {}
): Caller => ({
  tenant: TenantId.make(tenant),
  plan: rest.plan ?? "standard",
  feature: rest.feature ?? "default",
  critical: rest.critical ?? true,
  ...(rest.user === undefined ? {} : { user: rest.user }),
  ...(rest.ip === undefined ? {} : { ip: rest.ip }),
  ...(rest.priority === undefined ? {} : { priority: rest.priority })
})

/** The caller's priority. */
export const priorityOf = (caller: Caller): Priority => caller.priority ?? (caller.critical ? "critical" : "standard")

/** The caller of a program that never said who it is: an embedding without tenants, or the open demo mode. */
export const anonymous: Caller = make("anonymous")
