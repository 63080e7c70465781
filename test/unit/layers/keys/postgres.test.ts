import { describe } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { TenantId } from "../../../../src/domain/caller.ts"
import { Keys } from "../../../../src/services/keys.ts"
import * as Caps from "../../../conformance/budget-caps.ts"
import * as Conformance from "../../../conformance/keys.ts"
import { tenants } from "../../../conformance/tenants.ts"
import * as Tables from "../../../support/fleet-tables.ts"

const act = { actor: "test", reason: "test" }

const twoKeys = Effect.gen(function* () {
  const keys = yield* Keys
  const make = (tenant: string, plan: "standard" | "premium") =>
    keys.create({ ...act, tenant: TenantId.make(tenant), plan, scopes: ["chat"] })
  const [acme, gold] = [yield* make("acme", "standard"), yield* make("gold", "premium")]
  return { acme: Redacted.value(acme.key), gold: Redacted.value(gold.key) }
})

for (const [name, layer] of [
  ["postgres", Tables.server],
  ["PGlite", Tables.pglite]
] as const) {
  describe(name, { timeout: 60_000 }, () => {
    Conformance.keys(name, layer, Tables.breakAudit)
    tenants(name, layer, twoKeys)
    Caps.budgetCaps(name, layer, Tables.breakAudit)
  })
}
