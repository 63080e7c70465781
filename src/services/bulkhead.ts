/**
 * Calls in flight for each provider in this process: a limit, and a bounded
 * queue with a longest wait before it. A permit lives exactly as long as its
 * scope, streams included; interruption of a waiter frees its place in the
 * queue at once.
 */
import { Context, Effect } from "effect"
import type { Scope } from "effect"
import type { BulkheadError, DeadlineError } from "../domain/errors.ts"
import type { Deadline } from "./deadline.ts"
import * as Guard from "./guard.ts"
import type { EnterUnsafe, Lease } from "./guard.ts"

/** A claim for one place. `tenant`, `priority` and `tokens` (estimated work) are what a fair queue orders by. */
export interface BulkheadRequest {
  readonly key: string
  readonly tenant: string
  readonly tokens: number
  readonly priority: number
  readonly deadline: Deadline
}

/** A place. `waitedMs` is how long it took to get it. */
export interface BulkheadPermit extends Lease {
  readonly waitedMs: number
}

/** Where a bulkhead stands. */
export interface BulkheadState {
  readonly limit: number
  readonly inFlight: number
  readonly queued: number
}

export class Bulkhead extends Context.Service<
  Bulkhead,
  {
    /**
     * One place at `request.key`.
     *
     * Fails with `QueueFull`, `QueueTimeout`, or `DeadlineError` when the
     * request's deadline comes before a place does.
     */
    readonly acquire: (
      request: BulkheadRequest
    ) => Effect.Effect<BulkheadPermit, BulkheadError | DeadlineError, Scope.Scope>
    /** {@link EnterUnsafe} of the same. */
    readonly acquireUnsafe: (request: BulkheadRequest) => EnterUnsafe<BulkheadPermit, BulkheadError | DeadlineError>
    readonly state: (key: string) => Effect.Effect<BulkheadState>
  }
>()("ballast/services/Bulkhead") {}

/** The service from its raw way in and its state. */
export const make = (service: Pick<Bulkhead["Service"], "acquireUnsafe" | "state">): Bulkhead["Service"] =>
  Bulkhead.of({ ...service, acquire: (request) => Guard.acquire(service.acquireUnsafe(request)) })
