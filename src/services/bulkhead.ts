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

/** A claim for one place. `tenant`, `priority` and `tokens` (estimated work) are what a fair queue orders by. */
export interface BulkheadRequest {
  readonly key: string
  readonly tenant: string
  readonly tokens: number
  readonly priority: number
  readonly deadline: Deadline
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
     * One place at `request.key`; the result is the ms it waited.
     *
     * Fails with `QueueFull`, `QueueTimeout`, or `DeadlineError` when the
     * request's deadline comes before a place does.
     */
    readonly acquire: (request: BulkheadRequest) => Effect.Effect<number, BulkheadError | DeadlineError, Scope.Scope>
    readonly state: (key: string) => Effect.Effect<BulkheadState>
  }
>()("ballast/services/Bulkhead") {}
