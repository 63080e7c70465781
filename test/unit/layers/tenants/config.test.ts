import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { TenantId } from "../../../../src/domain/caller.ts"
import * as TenantsConfig from "../../../../src/layers/tenants/config.ts"
import { Tenants } from "../../../../src/services/tenants.ts"
import * as Conformance from "../../../conformance/tenants.ts"

const entry = (key: string, tenant: string, plan: "standard" | "premium" = "standard") => ({
  key: Redacted.make(key),
  tenant: TenantId.make(tenant),
  plan
})

const keys = TenantsConfig.layerKeys([
  entry("sk-acme-1", "acme"),
  entry("sk-acme-2", "acme"),
  entry("sk-rich", "rich", "premium")
])

Conformance.tenants(
  "config",
  TenantsConfig.layerKeys([
    entry("sk-acme-0123456789-0123456789", "acme"),
    entry("sk-gold-9876543210-9876543210", "gold", "premium")
  ]),
  Effect.succeed({ acme: "sk-acme-0123456789-0123456789", gold: "sk-gold-9876543210-9876543210" })
)

describe("Tenants: config", () => {
  it.effect("finds the tenant of each of its keys", () =>
    Effect.gen(function* () {
      const tenants = yield* Tenants
      assert.deepStrictEqual(yield* tenants.identify("sk-acme-1"), { id: TenantId.make("acme"), plan: "standard" })
      assert.deepStrictEqual(yield* tenants.identify("sk-acme-2"), { id: TenantId.make("acme"), plan: "standard" })
      assert.deepStrictEqual(yield* tenants.identify("sk-rich"), { id: TenantId.make("rich"), plan: "premium" })
    }).pipe(Effect.provide(keys))
  )

  it.effect("refuses what is not exactly a key, and tells no key in the error", () =>
    Effect.gen(function* () {
      const tenants = yield* Tenants
      for (const key of [
        "sk-acme",
        "sk-acme-11",
        " sk-acme-1",
        "SK-ACME-1",
        "x".repeat(100_000),
        "\u0000",
        "sk-\ud800"
      ]) {
        const error = yield* Effect.flip(tenants.identify(key))
        assert.strictEqual(error.reason._tag, "UnknownKey")
        assert.notInclude(JSON.stringify(error), key)
      }
      assert.strictEqual((yield* Effect.flip(tenants.identify(undefined))).reason._tag, "MissingKey")
      assert.strictEqual((yield* Effect.flip(tenants.identify(""))).reason._tag, "MissingKey")
    }).pipe(Effect.provide(keys))
  )

  it.effect("without keys nobody is known", () =>
    Effect.gen(function* () {
      const tenants = yield* Tenants
      assert.strictEqual((yield* Effect.flip(tenants.identify("any"))).reason._tag, "UnknownKey")
    }).pipe(Effect.provide(TenantsConfig.layerKeys([])))
  )

  it.effect("open: everybody is the same tenant, whatever they send", () =>
    Effect.gen(function* () {
      const tenants = yield* Tenants
      for (const key of [undefined, "", "sk-acme-1"]) {
        assert.deepStrictEqual(yield* tenants.identify(key), { id: TenantId.make("demo"), plan: "standard" })
      }
    }).pipe(Effect.provide(TenantsConfig.layerOpen("demo")))
  )
})
