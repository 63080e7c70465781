/** `/admin/budgets`: a tenant's caps, where they stand, and counting them anew from the ledger. */
import { Effect, Schema } from "effect"
import { HttpRouter } from "effect/http"
import { Caps } from "../../domain/budget.ts"
import { TenantId } from "../../domain/caller.ts"
import type { Audit } from "../../services/audit.ts"
import type { BudgetCaps } from "../../services/budget-caps.ts"
import type { Budget } from "../../services/budget.ts"
import { recompute } from "../budgets/recompute.ts"
import * as Answer from "./answer.ts"
import type { Routes } from "./answer.ts"

const CapsBody = Schema.Struct({ caps: Schema.NullOr(Caps), reason: Answer.Reason })

const RecomputeBody = Schema.Struct({ reason: Answer.Reason })

const tenant = Effect.flatMap(HttpRouter.params, (params) => Schema.decodeUnknownEffect(TenantId)(params["tenant"]))

export const routes = (services: {
  readonly audit: Audit["Service"]
  readonly budget: Budget["Service"]
  readonly caps: BudgetCaps["Service"]
}): Routes => {
  const { audit, budget, caps } = services
  return [
    { method: "GET", path: "/admin/budgets", work: Effect.map(caps.list, (data) => ({ data })) },
    {
      method: "GET",
      path: "/admin/budgets/:tenant",
      work: Effect.gen(function* () {
        const who = yield* tenant
        return { ...(yield* caps.get(who)), status: (yield* budget.status(who)).caps }
      })
    },
    {
      method: "PUT",
      path: "/admin/budgets/:tenant",
      work: Effect.gen(function* () {
        const who = yield* tenant
        const { caps: wanted, reason } = yield* Answer.body(CapsBody)
        return yield* caps.set(who, wanted ?? undefined, yield* Answer.act(reason))
      })
    },
    {
      method: "POST",
      path: "/admin/budgets/:tenant/recompute",
      work: Effect.gen(function* () {
        const who = yield* tenant
        const { reason } = yield* Answer.body(RecomputeBody)
        return yield* recompute({ audit, budget }, who, yield* Answer.act(reason))
      })
    }
  ]
}
