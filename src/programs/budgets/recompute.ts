/** Counting a tenant's spending anew from the ledger, as an act that is written down first. */
import { Effect } from "effect"
import type { TenantId } from "../../domain/caller.ts"
import type { StoreError } from "../../domain/errors.ts"
import type { Audit } from "../../services/audit.ts"
import type { Budget, BudgetStatus } from "../../services/budget.ts"
import type { Act } from "../../services/keys.ts"

/** Set the counters of `tenant` from the ledger; says where they stand then. */
export const recompute = Effect.fnUntraced(function* (
  services: { readonly audit: Audit["Service"]; readonly budget: Budget["Service"] },
  tenant: TenantId,
  act: Act
): Effect.fn.Return<BudgetStatus, StoreError> {
  const { caps: before } = yield* services.budget.status(tenant)
  // What the ledger says is not known before it is done, and an act is written down before it is done.
  yield* services.audit.record({ ...act, action: "budget.recompute", subject: tenant, before, after: "the ledger" })
  return yield* services.budget.recompute(tenant)
})
