import { Effect, Layer, Redacted } from "effect"
import { TenantId } from "../../../../src/domain/caller.ts"
import * as KeysMemory from "../../../../src/layers/keys/memory.ts"
import { Keys } from "../../../../src/services/keys.ts"
import * as Conformance from "../../../conformance/keys.ts"
import { tenants } from "../../../conformance/tenants.ts"
import * as TestAudit from "../../../support/audit.ts"

const layer = KeysMemory.layer.pipe(Layer.provideMerge(TestAudit.layer))

Conformance.keys(
  "memory",
  layer,
  Effect.map(TestAudit.AuditControl, (control) => control.broken(true))
)

const act = { actor: "test", reason: "test" }

tenants(
  "memory",
  layer,
  Effect.gen(function* () {
    const keys = yield* Keys
    const make = (tenant: string, plan: "standard" | "premium") =>
      keys.create({ ...act, tenant: TenantId.make(tenant), plan, scopes: ["chat"] })
    const [acme, gold] = [yield* make("acme", "standard"), yield* make("gold", "premium")]
    return { acme: Redacted.value(acme.key), gold: Redacted.value(gold.key) }
  })
)
