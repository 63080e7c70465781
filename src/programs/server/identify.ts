/**
 * Who sent this request, and whether its key is for that: the tenant by its
 * key, the rest by headers and the body's `user`. A header may name a user or a
 * feature of the caller's own tenant, never another tenant.
 */
import { Effect, Exit } from "effect"
import type { Scope } from "../../domain/api-key.ts"
import * as Caller from "../../domain/caller.ts"
import type { ResolvedConfig } from "../../domain/config.ts"
import { AuthError } from "../../domain/errors.ts"
import type { Exchange } from "../../services/exchange.ts"
import { chain } from "../../services/guard.ts"
import type { Tenant, Tenants } from "../../services/tenants.ts"

/** How callers are told apart. */
export interface Options {
  readonly tenants: Tenants["Service"]
  /** Take the client's address from the last hop of `x-forwarded-for`: only behind a proxy that sets it. */
  readonly trustProxy: boolean
  /** What is known of the product's features, by their names. */
  readonly features: ResolvedConfig["features"]
}

/** Longest user or feature name taken from a header, in characters. */
const maxName = 128

/**
 * The caller of an exchange that asks for `scope`; `AuthError` where the key is
 * missing, unknown or not for that. An `Exit` where the key is in memory.
 */
export const caller = (options: Options, exchange: Exchange, scope: Scope): Effect.Effect<Caller.Caller, AuthError> =>
  chain(
    tenantFor(options.tenants, (name) => exchange.header(name), scope),
    (tenant) => {
      const feature = named(exchange.header("x-ballast-feature"))
      const known =
        feature === undefined || !Object.hasOwn(options.features, feature) ? undefined : options.features[feature]
      return Exit.succeed({
        tenant: tenant.id,
        plan: tenant.plan,
        feature: feature ?? "default",
        critical: known?.critical ?? true,
        ...(known?.priority === undefined ? {} : { priority: known.priority }),
        ...optional("user", named(exchange.header("x-ballast-user"))),
        ...optional("ip", addressOf(exchange, options.trustProxy))
      })
    }
  )

/** The tenant whose key is in the headers, where the key is for `scope`. */
export const tenantFor = (
  tenants: Tenants["Service"],
  header: Exchange["header"],
  scope: Scope
): Effect.Effect<Tenant, AuthError> =>
  chain(tenants.identify(keyOf(header)), (tenant) =>
    tenant.scopes === undefined || tenant.scopes.includes(scope)
      ? Exit.succeed(tenant)
      : Exit.fail(new AuthError({ reason: { _tag: "Forbidden", scope } }))
  )

/** The same caller with the body's `user`, where no header named one. */
export const withUser = (known: Caller.Caller, user: string | null | undefined): Caller.Caller => {
  const name = named(user ?? undefined)
  return known.user !== undefined || name === undefined ? known : { ...known, user: name }
}

const named = (value: string | undefined): string | undefined =>
  value === undefined || value === "" ? undefined : value.slice(0, maxName)

const optional = <K extends string>(key: K, value: string | undefined): { readonly [P in K]?: string } =>
  // The record has exactly the key K, or none.
  (value === undefined ? {} : { [key]: value }) as { readonly [P in K]?: string }

/** The key, from `authorization: Bearer`, `api-key` (Azure clients) or `x-api-key` (Anthropic clients). */
export const keyOf = (header: Exchange["header"]): string | undefined =>
  bearerOf(header("authorization")) ?? header("api-key") ?? header("x-api-key")

/** What follows `Bearer` in an `authorization` header. */
export const bearerOf = (authorization: string | undefined): string | undefined =>
  authorization !== undefined && authorization.slice(0, 7).toLowerCase() === "bearer "
    ? authorization.slice(7).trim()
    : undefined

const addressOf = (exchange: Exchange, trustProxy: boolean): string | undefined => {
  const forwarded = trustProxy ? exchange.header("x-forwarded-for") : undefined
  return forwarded === undefined
    ? exchange.address
    : forwarded.slice(forwarded.lastIndexOf(",") + 1).trim() || exchange.address
}
