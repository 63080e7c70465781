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
import { Clock, Effect, Layer, PubSub, Random, Stream } from "effect"
import { CircuitBreakerError } from "../../domain/errors.ts"
import type { BreakerPolicy } from "../../domain/policy.ts"
import { CircuitBreaker } from "../../services/circuit-breaker.ts"
import * as CircuitBreakerPort from "../../services/circuit-breaker.ts"
import type { BreakerLease, BreakerTransition } from "../../services/circuit-breaker.ts"
import * as Guard from "../../services/guard.ts"
import { Cell } from "./cell.ts"
import type { Host } from "./cell.ts"
import { Pools } from "./pool.ts"

/** Transitions kept for a subscriber that does not keep up; older ones are dropped. */
const backlog = 256

/** Longest `retryAfterMs` of a refusal: a breaker tripped by hand for ever still names a finite time. */
const maxAdviceMs = 86_400_000

/** `pools`: keys that can stand in for one another, a list for each model. Without it all keys in use are one pool. */
export interface CircuitBreakerOptions {
  readonly pools?: ReadonlyArray<ReadonlyArray<string>> | undefined
}

/** A key's breaker, and the way in to it: made once, so that an acquisition makes nothing but its lease. */
interface Entry {
  readonly cell: Cell
  readonly enter: Guard.EnterUnsafe<BreakerLease, CircuitBreakerError>
}

/** Breakers over the current Clock; jitter is drawn from the Random of the place where it is built. */
export const make = Effect.fnUntraced(function* (policy: BreakerPolicy, options?: CircuitBreakerOptions) {
  const clock = yield* Clock.Clock
  const random = yield* Random.Random
  const hub = yield* Effect.acquireRelease(PubSub.sliding<BreakerTransition>(backlog), PubSub.shutdown)
  const entries = new Map<string, Entry>()
  const pools = new Pools(policy, entries, options?.pools)
  const now = () => clock.currentTimeMillisUnsafe()
  const host: Host = {
    policy,
    now,
    random: () => random.nextDoubleUnsafe(),
    mayOpen: (cell, at, cause) => pools.mayOpen(cell, at, cause),
    changed: (transition) => void PubSub.publishUnsafe(hub, transition)
  }

  const entryOf = (key: string): Entry => {
    let entry = entries.get(key)
    if (entry === undefined) {
      const cell = new Cell(key, host)
      entry = { cell, enter: (_restore, requestId) => enter(cell, requestId) }
      entries.set(key, entry)
    }
    return entry
  }

  const enter = (cell: Cell, requestId: string | undefined): Effect.Effect<BreakerLease, CircuitBreakerError> => {
    const at = now()
    const lease = cell.admit(at)
    if (lease !== undefined) return Effect.succeed(lease)
    const tag = cell.state === "open" ? "Open" : "Probing"
    const afterMs = Math.min(cell.waitMs(at), maxAdviceMs)
    return Effect.fail(
      Guard.refusal(
        () =>
          new CircuitBreakerError({
            ...Guard.withRequestId(requestId),
            reason: { _tag: tag, key: cell.key, retryAfterMs: afterMs }
          })
      )
    )
  }

  return CircuitBreakerPort.make({
    acquireUnsafe: (key) => entryOf(key).enter,
    state: (key) =>
      Effect.sync(() => {
        const { cell } = entryOf(key)
        cell.look(now())
        return cell.state
      }),
    trip: (key, forMs) => Effect.sync(() => entryOf(key).cell.trip(now(), forMs)),
    reset: (key, forMs = 0) => Effect.sync(() => entryOf(key).cell.reset(now(), forMs)),
    transitions: Stream.fromPubSub(hub)
  })
})

/** {@link make} as a layer. */
export const layer = (policy: BreakerPolicy, options?: CircuitBreakerOptions): Layer.Layer<CircuitBreaker> =>
  Layer.effect(CircuitBreaker, make(policy, options))
