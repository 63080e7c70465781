/**
 * Rate limits over all dimensions of a caller (user, IP, tenant, global;
 * requests and tokens) in one atomic step: either every dimension has room and
 * all are charged, or nothing is charged and the refusal names the dimension
 * that is the longest wait.
 *
 * Tokens are reserved by estimate and settled to what was really used; an
 * unsettled reservation is given back when its scope closes, so an interrupted
 * request costs nothing.
 */
import { Context, Effect } from "effect"
import type { Scope } from "effect"
import type { Caller } from "../domain/caller.ts"
import type { LimitUnit, RateLimitError } from "../domain/errors.ts"
import * as Guard from "./guard.ts"
import type { EnterUnsafe, Lease } from "./guard.ts"

/** Where one dimension stands after the reservation; what the `RateLimit` headers say. */
export interface LimitState {
  readonly dimension: "user" | "ip" | "tenant" | "global"
  readonly unit: LimitUnit
  /** Requests or tokens in a window. */
  readonly limit: number
  readonly remaining: number
  readonly windowMs: number
  /** Until the full limit is there again. */
  readonly resetMs: number
}

/** A charge that was taken. Releasing it before it is settled gives all of it back. */
export interface Reservation extends Lease {
  readonly states: ReadonlyArray<LimitState>
  /**
   * Replace the estimate by what was used. Once; later calls change nothing.
   * The request itself stays counted. Nobody waits for it: a store that is far
   * away is told in the background.
   */
  readonly settle: (tokens: number) => void
}

export class RateLimiter extends Context.Service<
  RateLimiter,
  {
    /**
     * Charge one request and `tokens` estimated tokens to `caller`.
     *
     * Fails with `Exceeded` (try later) or `NeverFits` (larger than the limit:
     * waiting cannot help). Closing the scope before `settle` gives all back.
     */
    readonly reserve: (caller: Caller, tokens: number) => Effect.Effect<Reservation, RateLimitError, Scope.Scope>
    /** {@link EnterUnsafe} of the same. */
    readonly reserveUnsafe: (caller: Caller, tokens: number) => EnterUnsafe<Reservation, RateLimitError>
  }
>()("ballast/services/RateLimiter") {}

/** The service from its raw way in. */
export const make = (reserveUnsafe: RateLimiter["Service"]["reserveUnsafe"]): RateLimiter["Service"] =>
  RateLimiter.of({ reserveUnsafe, reserve: (caller, tokens) => Guard.acquire(reserveUnsafe(caller, tokens)) })
