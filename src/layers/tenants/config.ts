/**
 * Tenants from the configuration's keys.
 */
import { hash, timingSafeEqual } from "node:crypto"
import { Effect, Layer, Redacted } from "effect"
import { TenantId } from "../../domain/caller.ts"
import type { Plan } from "../../domain/caller.ts"
import { AuthError } from "../../domain/errors.ts"
import { Tenants } from "../../services/tenants.ts"
import type { Tenant } from "../../services/tenants.ts"

const digest = (key: string): Buffer => hash("sha256", key, "buffer")

/** Keys are compared by digest, against every entry, so that time tells nothing about them. */
export const layerKeys = (
  entries: ReadonlyArray<{ readonly key: Redacted.Redacted<string>; readonly tenant: TenantId; readonly plan: Plan }>
): Layer.Layer<Tenants> => {
  const known = entries.map(({ key, plan, tenant }) => ({
    digest: digest(Redacted.value(key)),
    tenant: { id: tenant, plan }
  }))
  return Layer.succeed(Tenants, {
    identify: (key) => {
      if (key === undefined || key === "")
        return Effect.suspend(() => Effect.fail(new AuthError({ reason: { _tag: "MissingKey" } })))
      const asked = digest(key)
      let found: Tenant | undefined
      for (const entry of known) if (timingSafeEqual(entry.digest, asked)) found = entry.tenant
      return found === undefined
        ? Effect.suspend(() => Effect.fail(new AuthError({ reason: { _tag: "UnknownKey" } })))
        : Effect.succeed(found)
    }
  })
}

/** Everybody is the same tenant: for this machine only. */
export const layerOpen = (tenant = "local"): Layer.Layer<Tenants> => {
  const everybody = Effect.succeed<Tenant>({ id: TenantId.make(tenant), plan: "standard" })
  return Layer.succeed(Tenants, { identify: () => everybody })
}
