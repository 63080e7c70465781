/**
 * All that a request needs of the stores before it may go on, as the life of a request asks for it: rate limit, lease
 * and budget put together in one turn, so that they share a round trip, and given back together.
 */
import { Effect } from "effect"
import type { Scope } from "effect"
import type { Caller } from "../../../src/domain/caller.ts"
import type { BudgetError, LeaseError, RateLimitError } from "../../../src/domain/errors.ts"
import { Budget } from "../../../src/services/budget.ts"
import type { BudgetReservation } from "../../../src/services/budget.ts"
import { Leases } from "../../../src/services/leases.ts"
import type { TenantLease } from "../../../src/services/leases.ts"
import { RateLimiter } from "../../../src/services/rate-limiter.ts"
import type { Reservation } from "../../../src/services/rate-limiter.ts"
import type { Lease, Restore } from "../../../src/services/guard.ts"

/** What was given. */
export interface Decided {
  readonly rate: Reservation | undefined
  readonly lease: TenantLease
  readonly budget: BudgetReservation | undefined
}

/** What is asked for. */
export interface Ask {
  readonly inputTokens: number
  readonly outputTokens: number
}

const price = { input: 3_000_000, output: 15_000_000 }
const usual: Ask = { inputTokens: 1_000, outputTokens: 500 }

let ids = 0

type Answer = Effect.Effect<Decided, RateLimitError | LeaseError | BudgetError, Scope.Scope>

/** Ask for all (`all`) or a lease alone; what was given is given back when the scope closes. */
export const make = Effect.gen(function* () {
  const limiter = yield* RateLimiter
  const leases = yield* Leases
  const budget = yield* Budget
  return (caller: Caller, what: "all" | "lease", ask: Ask = usual): Answer =>
    Effect.uninterruptibleMask((restore: Restore): Answer => {
      const id = `${process.pid}-${++ids}`
      const taken: Array<Lease> = []
      const keep = <L extends Lease>(lease: L): L => {
        taken.push(lease)
        return lease
      }
      const back = Effect.sync(() => taken.toReversed().forEach((lease) => lease.release()))
      if (what === "lease") {
        const enter = Effect.map(leases.acquireUnsafe(caller)(restore, id), keep)
        return Effect.map(
          Effect.acquireRelease(enter, () => back),
          (lease) => ({ rate: undefined, lease, budget: undefined })
        )
      }
      // All three join the request's batch before the first of them is waited for.
      const tokens = ask.inputTokens + ask.outputTokens
      const asRate = limiter.reserveUnsafe(caller, tokens)(restore, id)
      const asLease = leases.acquireUnsafe(caller)(restore, id)
      const asBudget = budget.reserveUnsafe({ caller, model: "m", price, ...ask })(restore, id)
      const all = Effect.flatMap(asRate, (rate) => {
        keep(rate)
        return Effect.flatMap(asLease, (lease) => {
          keep(lease)
          return Effect.map(asBudget, (reservation) => ({ rate, lease, budget: keep(reservation) }))
        })
      })
      return Effect.acquireRelease(
        Effect.onError(all, () => back),
        () => back
      )
    })
})
