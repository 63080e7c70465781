import { Effect, Layer } from "effect"
import * as CapsConfig from "../../../../src/layers/budget-caps/config.ts"
import * as Conformance from "../../../conformance/budget-caps.ts"
import * as TestAudit from "../../../support/audit.ts"

Conformance.budgetCaps(
  "config",
  CapsConfig.layer(Conformance.policy).pipe(Layer.provideMerge(TestAudit.layer)),
  Effect.map(TestAudit.AuditControl, (control) => control.broken(true))
)
