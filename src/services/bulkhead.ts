/**
 * Calls in flight for each provider in this process: a limit, fixed or learned,
 * and a bounded, tenant-fair, priority-aware, deadline-aware queue before it.
 * A permit lives exactly as long as its scope, streams included; interruption
 * of a waiter frees its place in the queue at once.
 */
import { Context, Effect } from "effect"
import type { Scope } from "effect"
import type { Plan, Priority } from "../domain/caller.ts"
import type { BulkheadError, DeadlineError } from "../domain/errors.ts"
import type { Deadline } from "./deadline.ts"
import * as Guard from "./guard.ts"
import type { EnterUnsafe, Lease } from "./guard.ts"

/**
 * A claim for one place.
 *
 * - `tokens`: estimated work, input and output together; what tenants are served by, until the truth is known
 * - `plan`: a premium tenant gets more of the places than a standard one while both wait
 * - `streamed`: whether the deadline covers the way to the first token (true) or the whole answer
 */
export interface BulkheadRequest {
  readonly key: string
  readonly tenant: string
  readonly plan: Plan
  readonly tokens: number
  readonly priority: Priority
  readonly streamed: boolean
  readonly deadline: Deadline
}

/**
 * A place, and the way to say how the call in it went. Its reports are plain
 * functions that never fail; after `release` they do nothing.
 */
export interface BulkheadPermit extends Lease {
  /** How long it took to get the place, in ms. */
  readonly waitedMs: number
  /** A stream's first token came `ms` after the call. */
  readonly firstToken: (ms: number) => void
  /** A run of `tokens` tokens of a stream took `ms`. */
  readonly pace: (tokens: number, ms: number) => void
  /** A whole answer of `tokens` output tokens came `ms` after the call. */
  readonly answered: (tokens: number, ms: number) => void
  /** The provider refused the call for being overloaded (429, 503, 529). */
  readonly dropped: () => void
  /** The call's real work in tokens, input and output: the tenant's account is corrected by it. */
  readonly settle: (tokens: number) => void
  /** Instead of `release`: no call was made in it, so it costs the tenant nothing, and nothing is learned from it. */
  readonly unused: () => void
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
     * request's deadline comes before a place does, or would come before its
     * answer: work that cannot finish in time is refused at once.
     */
    readonly acquire: (
      request: BulkheadRequest
    ) => Effect.Effect<BulkheadPermit, BulkheadError | DeadlineError, Scope.Scope>
    /** {@link EnterUnsafe} of the same. */
    readonly acquireUnsafe: (request: BulkheadRequest) => EnterUnsafe<BulkheadPermit, BulkheadError | DeadlineError>
    /** A place at `request.key` if one is free and nobody waits for it; `undefined` else. Nobody but the caller releases it. */
    readonly tryAcquireUnsafe: (request: BulkheadRequest) => BulkheadPermit | undefined
    readonly state: (key: string) => Effect.Effect<BulkheadState>
  }
>()("ballast/services/Bulkhead") {}

/** The service from its raw ways in and its state. */
export const make = (service: Omit<Bulkhead["Service"], "acquire">): Bulkhead["Service"] =>
  Bulkhead.of({ ...service, acquire: (request) => Guard.acquire(service.acquireUnsafe(request)) })
