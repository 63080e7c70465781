/**
 * Circuit breakers in the memory of this process, one for each key.
 *
 * - closed: outcomes go into a time window. Enough of them, and too many failures, slow first tokens or slow token gaps
 *   open the breaker (after resilience4j's two rates); so do the last `minimumCalls` alone by a stricter rate, which
 *   shows an outage within about as many calls. Slow is what takes much longer than usual there. A call counts as slow
 *   as soon as it is late, not only when it has answered
 * - open: everything is refused for `openMs`, doubled with each probing that failed and each relapse up to `maxOpenMs`,
 *   times 0.8 to 1.2, so that a fleet does not probe in step. A `Retry-After` of the provider makes it longer, up to
 *   twice `maxOpenMs`
 * - half-open: `probes` calls at a time are let through, everyone else is refused at once (nobody waits for a probe). As
 *   many answers close it, unless too many of them were slow; one failure opens it again
 *
 * Not all that can stand in for one another are open at once (`pool.ts`).
 *
 * Each change of state begins a generation, and the verdict of a lease of an
 * older one is ignored (as in gobreaker). A probe that ends without a verdict
 * gives its place to another.
 *
 * Keys are the configured candidates, so their number is small and they are
 * never forgotten.
 */
import { Effect, Layer } from "effect"
import type { BreakerPolicy } from "../../domain/policy.ts"
import { CircuitBreaker } from "../../services/circuit-breaker.ts"
import * as Local from "./local.ts"
import type { CircuitBreakerOptions } from "./local.ts"

export type { CircuitBreakerOptions } from "./local.ts"

/** Breakers over the current Clock; jitter is drawn from the Random of the place where it is built. */
export const make = (policy: BreakerPolicy, options?: CircuitBreakerOptions) =>
  Effect.map(Local.make(policy, options), ({ service }) => service)

/** {@link make} as a layer. */
export const layer = (policy: BreakerPolicy, options?: CircuitBreakerOptions): Layer.Layer<CircuitBreaker> =>
  Layer.effect(CircuitBreaker, make(policy, options))
