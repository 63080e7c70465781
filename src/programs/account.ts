/**
 * What a request has set aside before it began: tokens of its rate limits, a
 * place among its tenant's calls, money and tokens of its budget. Settled
 * together, exactly once, when its answer has ended; given back together where
 * there was none.
 */
import type { BudgetReservation } from "../services/budget.ts"
import type { TenantLease } from "../services/leases.ts"
import type { Lease } from "../services/lease-scope.ts"
import type { Reservation } from "../services/rate-limiter.ts"
import type { RequestRecord } from "../services/request-record.ts"

/** The reservations of one request. Releasing gives back what has not been settled. */
export class Account implements Lease {
  readonly limits: Reservation
  readonly lease: TenantLease
  readonly budget: BudgetReservation
  /** Whether the answer may cost more than was set aside, so that it has to be watched. */
  readonly watched: boolean

  constructor(limits: Reservation, lease: TenantLease, budget: BudgetReservation, watched: boolean) {
    this.limits = limits
    this.lease = lease
    this.budget = budget
    this.watched = watched
  }

  /**
   * The answer has ended, and its record says what was used and what it cost:
   * `usage` is the answer's, `extraTokens` those of calls that lost a hedge.
   * Later calls change nothing.
   */
  settle({ answeredBy, candidate, cost, extraTokens, model, outcome, usage }: RequestRecord): void {
    const input = usage?.prompt_tokens ?? 0
    const output = usage?.completion_tokens ?? 0
    this.limits.settle(input + output)
    this.budget.settle({
      inputTokens: input + extraTokens,
      outputTokens: output,
      cost,
      model: answeredBy ?? model,
      provider: candidate?.provider,
      outcome
    })
  }

  /** Nothing had to be called for the answer. */
  free(): void {
    this.limits.settle(0)
    this.budget.release()
  }

  release(): void {
    this.budget.release()
    this.lease.release()
    this.limits.release()
  }
}
