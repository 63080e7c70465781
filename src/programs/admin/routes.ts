/**
 * The admin API: keys, budgets, breakers, kill switches and the audit table
 * over HTTP, on the admin port, under a token of its own. Without a token none
 * of its routes exist. Everything that changes something needs a reason, and is
 * written into the audit table before it is done.
 */
import { Effect, Layer, Redacted } from "effect"
import { HttpRouter } from "effect/http"
import { Audit } from "../../services/audit.ts"
import { BudgetCaps } from "../../services/budget-caps.ts"
import { Budget } from "../../services/budget.ts"
import { Catalog } from "../../services/catalog.ts"
import { CircuitBreaker } from "../../services/circuit-breaker.ts"
import { Keys } from "../../services/keys.ts"
import { KillSwitch } from "../../services/kill-switch.ts"
import * as Access from "./access.ts"
import { answer } from "./answer.ts"
import * as AuditLog from "./audit-log.ts"
import * as Breakers from "./breakers.ts"
import * as Budgets from "./budgets.ts"
import * as KeyRoutes from "./keys.ts"
import * as KillSwitches from "./kill-switches.ts"

/** What the admin API acts on. */
export type Services = Audit | Budget | BudgetCaps | Catalog | CircuitBreaker | Keys | KillSwitch

/** The routes under `token`; none at all where there is no token, or an empty one. */
export const routes = (
  token: Redacted.Redacted<string> | undefined
): Layer.Layer<never, never, HttpRouter.HttpRouter | Services> =>
  token === undefined || Redacted.value(token) === ""
    ? Layer.empty
    : Layer.unwrap(
        Effect.gen(function* () {
          const audit = yield* Audit
          const catalog = yield* Catalog
          const budget = yield* Budget
          const caps = yield* BudgetCaps
          const breaker = yield* CircuitBreaker
          const switches = yield* KillSwitch
          const all = [
            ...KeyRoutes.routes(yield* Keys),
            ...Budgets.routes({ audit, budget, caps }),
            ...Breakers.routes({ audit, breaker, catalog }),
            ...KillSwitches.routes({ audit, catalog, switches }),
            ...AuditLog.routes(audit)
          ]
          const allowed = Access.allowed(token)
          return HttpRouter.addAll(
            all.map(({ method, path, status, work }) => HttpRouter.route(method, path, answer(allowed, work, status)))
          )
        })
      )
