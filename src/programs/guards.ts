/**
 * The services that every guarded call goes through, as one type and one
 * lookup: programs read them from the context together.
 */
import { Context } from "effect"
import type { Scope } from "effect"
import { Brownout } from "../services/brownout.ts"
import { Budget } from "../services/budget.ts"
import { Bulkhead } from "../services/bulkhead.ts"
import { Catalog } from "../services/catalog.ts"
import { CircuitBreaker } from "../services/circuit-breaker.ts"
import { Hedging } from "../services/hedging.ts"
import { KillSwitch } from "../services/kill-switch.ts"
import { Pacer } from "../services/pacer.ts"
import { Leases } from "../services/leases.ts"
import { Provider } from "../services/provider.ts"
import { RateLimiter } from "../services/rate-limiter.ts"
import { RetryBudget } from "../services/retry-budget.ts"
import { RetryPolicy } from "../services/retry-policy.ts"
import { Router } from "../services/router.ts"
import { StaleAnswers } from "../services/stale-answers.ts"
import { Telemetry } from "../services/telemetry.ts"
import { Timers } from "../services/timers.ts"
import { TokenCounter } from "../services/token-counter.ts"

/** Everything `complete` and `embed` require, besides the scope in which the answer lives. */
export type Guards =
  | Brownout
  | Budget
  | Bulkhead
  | Catalog
  | CircuitBreaker
  | Hedging
  | KillSwitch
  | Leases
  | Pacer
  | Provider
  | RateLimiter
  | RetryBudget
  | RetryPolicy
  | Router
  | StaleAnswers
  | Telemetry
  | Timers
  | TokenCounter

/** The guards by name. */
export interface Resolved {
  readonly brownout: Brownout["Service"]
  readonly budget: Budget["Service"]
  readonly bulkhead: Bulkhead["Service"]
  readonly catalog: Catalog["Service"]
  readonly breaker: CircuitBreaker["Service"]
  readonly hedging: Hedging["Service"]
  readonly killSwitch: KillSwitch["Service"]
  readonly pacer: Pacer["Service"]
  readonly leases: Leases["Service"]
  readonly provider: Provider["Service"]
  readonly limiter: RateLimiter["Service"]
  readonly retryBudget: RetryBudget["Service"]
  readonly retryPolicy: RetryPolicy["Service"]
  readonly router: Router["Service"]
  readonly staleAnswers: StaleAnswers["Service"]
  readonly telemetry: Telemetry["Service"]
  readonly timers: Timers["Service"]
  readonly tokens: TokenCounter["Service"]
}

/** Guards, and the scope of one request. */
export type Requirements = Guards | Scope.Scope

/** All guards of a context by name. */
export const resolve = (context: Context.Context<Guards>): Resolved => ({
  brownout: Context.get(context, Brownout),
  budget: Context.get(context, Budget),
  bulkhead: Context.get(context, Bulkhead),
  catalog: Context.get(context, Catalog),
  breaker: Context.get(context, CircuitBreaker),
  hedging: Context.get(context, Hedging),
  killSwitch: Context.get(context, KillSwitch),
  pacer: Context.get(context, Pacer),
  leases: Context.get(context, Leases),
  provider: Context.get(context, Provider),
  limiter: Context.get(context, RateLimiter),
  retryBudget: Context.get(context, RetryBudget),
  retryPolicy: Context.get(context, RetryPolicy),
  router: Context.get(context, Router),
  staleAnswers: Context.get(context, StaleAnswers),
  telemetry: Context.get(context, Telemetry),
  timers: Context.get(context, Timers),
  tokens: Context.get(context, TokenCounter)
})
