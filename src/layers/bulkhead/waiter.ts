/** A claim in the queue, and the fiber that waits for its place. */
import { Effect } from "effect"
import type { BulkheadError, DeadlineError } from "../../domain/errors.ts"
import type { BulkheadRequest } from "../../services/bulkhead.ts"
import type { Timer } from "../../services/timers.ts"
import type { Rank } from "./levels.ts"
import type { Permit } from "./permit.ts"
import type { Claim, Tenant } from "./tenant.ts"

/** What a wait ends with. */
export type Waited = Effect.Effect<Permit, BulkheadError | DeadlineError>

export class Waiter implements Claim<Waiter> {
  readonly request: BulkheadRequest
  readonly requestId: string | undefined
  readonly tenant: Tenant<Waiter>
  readonly cost: number
  readonly rank: Rank
  readonly order: number
  readonly since: number
  /** From joining the queue to leaving it. */
  waiting = true
  timer: Timer | undefined = undefined
  previous: Waiter | undefined = undefined
  next: Waiter | undefined = undefined
  /** The place that it was given, awake or not. */
  permit: Permit | undefined = undefined
  private result: Waited | undefined = undefined
  private wake: ((result: Waited) => void) | undefined = undefined

  constructor(
    request: BulkheadRequest,
    requestId: string | undefined,
    tenant: Tenant<Waiter>,
    cost: number,
    rank: Rank,
    order: number,
    since: number
  ) {
    this.request = request
    this.requestId = requestId
    this.tenant = tenant
    this.cost = cost
    this.rank = rank
    this.order = order
    this.since = since
  }

  /** End the wait. Called once, after the claim has left the queue. */
  finish(result: Waited): void {
    this.result = result
    this.wake?.(result)
  }

  /** The wait itself. */
  readonly wait: Waited = Effect.withFiber((fiber) =>
    Effect.callback((resume) => {
      if (this.result !== undefined) {
        resume(this.result)
        return
      }
      // In its own dispatcher's turn: here it would run inside the finalizer that released.
      this.wake = (result) => fiber.currentDispatcher.scheduleTask(() => resume(result), 0)
    })
  )
}
