/**
 * A breaker for each candidate (provider x model x region). It opens on the
 * rate of failures, of slow first tokens or of slow token gaps in a time
 * window, refuses while open, then lets a few probes through, and closes when
 * they succeed. Not all candidates can be open at once (panic threshold): the
 * last ones are probed without a pause instead.
 *
 * A lease belongs to the generation in which it was taken: a late result of an
 * older generation changes nothing. A lease whose scope closes without a
 * verdict (interrupted, refused further on) is ignored.
 */
import { Context, Effect } from "effect"
import type { Scope, Stream } from "effect"
import type { CircuitBreakerError } from "../domain/errors.ts"
import * as Guard from "./guard.ts"
import type { EnterUnsafe, Lease } from "./guard.ts"

export type BreakerState = "closed" | "open" | "half-open"

/**
 * The right to make one call, and the way to say how it went. The first verdict
 * counts; but a call that succeeded (its first token came) may still `fail`
 * once, when its stream breaks later.
 */
export interface BreakerLease extends Lease {
  /**
   * The call leaves for the provider now; a queue before it does not count as
   * the provider's slowness. `streamed` (the default): its first token will be
   * timed; otherwise its whole answer, which is compared with whole answers
   * alone. False: the breaker has changed its state since it gave this lease,
   * so the call must not be made; ask for another.
   */
  readonly begin: (streamed?: boolean) => boolean
  /** The call answered: its first token (or its whole answer) came after `ms`, which decides whether it was slow. */
  readonly succeed: (ms: number) => void
  /** The call failed in a way that speaks against the provider. `retryAfterMs` is honoured as open time. */
  readonly fail: (retryAfterMs?: number) => void
  /** A stream's mean time between tokens over a run of them; any number of times, after `succeed`. */
  readonly gap: (ms: number) => void
  /** Our own deadline ended the call after `elapsedMs`: counts as slow if that is slow already, else not at all. */
  readonly cutShort: (elapsedMs: number) => void
}

/** A change of state. Times are epoch ms. */
export interface BreakerTransition {
  readonly key: string
  readonly from: BreakerState
  readonly to: BreakerState
  readonly atMs: number
  readonly reason:
    | "failure-rate"
    | "slow-first-token"
    | "slow-gap"
    | "probe-failed"
    | "probes-succeeded"
    | "open-time-over"
    | "manual"
  /** The generation that begins with it; counts up by one for each change of a key. */
  readonly generation: number
}

export class CircuitBreaker extends Context.Service<
  CircuitBreaker,
  {
    /** Admission to call `key`, or `Open` / `Probing` with the ms until it is worth asking again. */
    readonly acquire: (key: string) => Effect.Effect<BreakerLease, CircuitBreakerError, Scope.Scope>
    /** {@link EnterUnsafe} of the same. */
    readonly acquireUnsafe: (key: string) => EnterUnsafe<BreakerLease, CircuitBreakerError>
    readonly state: (key: string) => Effect.Effect<BreakerState>
    /** Open by hand for `forMs`. */
    readonly trip: (key: string, forMs: number) => Effect.Effect<void>
    /** Close by hand and forget the window; with `forMs` it stays closed so long, whatever happens. */
    readonly reset: (key: string, forMs?: number) => Effect.Effect<void>
    /** Every change of state from now on. */
    readonly transitions: Stream.Stream<BreakerTransition>
  }
>()("ballast/services/CircuitBreaker") {}

/** The service from its raw way in and its controls. */
export const make = (service: Omit<CircuitBreaker["Service"], "acquire">): CircuitBreaker["Service"] =>
  CircuitBreaker.of({ ...service, acquire: (key) => Guard.acquire(service.acquireUnsafe(key)) })
