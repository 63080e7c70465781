/**
 * Calls to a provider, paced to the provider's own rate limit: a call leaves
 * when the limit has room for it, and after a 429 nobody calls before the
 * provider said so. Where the limit counts refused calls too, whoever calls
 * without room pushes the moment away at which there is some.
 *
 * What is known of a limit is configured, or read from the provider's headers
 * and refusals. Where nothing is known, a call costs one lookup.
 */
import { Context } from "effect"
import type { Effect, Scope } from "effect"
import type { DeadlineError, PacerError } from "../domain/errors.ts"
import type { Deadline } from "./deadline.ts"
import * as Guard from "./guard.ts"
import type { EnterUnsafe, Lease } from "./guard.ts"
import type { UpstreamLimits } from "./provider.ts"

/**
 * A call that wants to leave.
 *
 * - `provider`: whose limit it is, by name; `key`: provider and model, for limits that are learned, for they are a model's
 * - `tokens`: estimated work, input and output together
 * - `streamed`: whether the deadline covers the way to the first token (true) or the whole answer
 */
export interface PacerRequest {
  readonly provider: string
  readonly key: string
  readonly tenant: string
  readonly tokens: number
  readonly streamed: boolean
  readonly deadline: Deadline
}

/** Leave to make one call. Its reports are plain functions that never fail. */
export interface PacerPermit extends Lease {
  /** How long it took to get, in ms. */
  readonly waitedMs: number
  /** The call has been answered `ms` after it left, and the provider said this about its limits. */
  readonly answered: (ms: number, limits: UpstreamLimits | undefined) => void
  /** The provider refused the call by its rate limit (429), and asked for `retryAfterMs` of patience, if any. */
  readonly limited: (retryAfterMs: number | undefined) => void
  /** The call's real work in tokens, input and output. */
  readonly settle: (tokens: number) => void
  /** Instead of `release`: the call was not made, so it does not count. */
  readonly unused: () => void
}

/** Where a limit stands; a number that is `undefined` is not known. */
export interface PacerState {
  /** Requests and tokens that could leave now; less than nothing where more was used than planned. */
  readonly requests: number | undefined
  readonly tokens: number | undefined
  readonly waiting: number
  /** Nobody calls before this (epoch ms); 0: nobody was asked to wait. */
  readonly pausedUntilMs: number
}

export class Pacer extends Context.Service<
  Pacer,
  {
    /**
     * Leave for one call, when there is room for it.
     *
     * Fails at once with `NoRoom` or `Paused` where there will be none before
     * the deadline (as far as can be told), and with `DeadlineError` where the
     * deadline comes first after all. A waiter that is interrupted gives its
     * place to the next; closing the scope gives nothing back: say `unused`
     * for a call that was not made.
     */
    readonly acquire: (request: PacerRequest) => Effect.Effect<PacerPermit, PacerError | DeadlineError, Scope.Scope>
    /** {@link EnterUnsafe} of the same. */
    readonly acquireUnsafe: (request: PacerRequest) => EnterUnsafe<PacerPermit, PacerError | DeadlineError>
    /** The same if there is room now and nobody waits for it; `undefined` else. */
    readonly tryAcquireUnsafe: (request: PacerRequest) => PacerPermit | undefined
    readonly state: (provider: string, key: string) => Effect.Effect<PacerState>
  }
>()("ballast/services/Pacer") {}

/** The service from its raw ways in and its state. */
export const make = (service: Omit<Pacer["Service"], "acquire">): Pacer["Service"] =>
  Pacer.of({ ...service, acquire: (request) => Guard.acquire(service.acquireUnsafe(request)) })
