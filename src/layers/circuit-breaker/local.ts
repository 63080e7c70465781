/**
 * The breakers of this process, with the ways in to them that a layer needs
 * which shares them with other processes: what `memory.ts` offers alone and
 * `redis.ts` over a fleet.
 */
import { Clock, Effect, PubSub, Random, Stream } from "effect"
import { CircuitBreakerError } from "../../domain/errors.ts"
import type { BreakerPolicy } from "../../domain/policy.ts"
import * as CircuitBreakerPort from "../../services/circuit-breaker.ts"
import type { BreakerTransition } from "../../services/circuit-breaker.ts"
import * as Guard from "../../services/guard.ts"
import { Cell } from "./cell.ts"
import type { Host } from "./cell.ts"
import type { Lease } from "./lease.ts"
import { Pools } from "./pool.ts"

/** Transitions kept for a subscriber that does not keep up; older ones are dropped. */
const backlog = 256

/** Longest `retryAfterMs` of a refusal: a breaker tripped by hand for ever still names a finite time. */
const maxAdviceMs = 86_400_000

/** `pools`: keys that can stand in for one another, a list for each model. Without it all keys in use are one pool. */
export interface CircuitBreakerOptions {
  readonly pools?: ReadonlyArray<ReadonlyArray<string>> | undefined
}

/** What a layer over these breakers wants to hear, beside the transitions that everybody may. */
export type Listener = Partial<Pick<Host, "changed" | "probed" | "unprobed">>

/** A key's breaker, and the way in to it: made once, so that an acquisition makes nothing but its lease. */
export interface Entry {
  readonly cell: Cell
  readonly enter: Guard.EnterUnsafe<Lease, CircuitBreakerError>
}

/** The refusal of a breaker that is not closed. */
export const refuse = (
  cell: Cell,
  at: number,
  requestId: string | undefined
): Effect.Effect<never, CircuitBreakerError> => {
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

const enter = (cell: Cell, at: number, requestId: string | undefined): Effect.Effect<Lease, CircuitBreakerError> => {
  const lease = cell.admit(at)
  return lease === undefined ? refuse(cell, at, requestId) : Effect.succeed(lease)
}

/** Breakers over the current Clock; jitter is drawn from the Random of the place where they are built. */
export const make = Effect.fnUntraced(function* (
  policy: BreakerPolicy,
  options?: CircuitBreakerOptions,
  listener?: Listener
) {
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
    changed: (transition) => {
      PubSub.publishUnsafe(hub, transition)
      listener?.changed?.(transition)
    },
    ...(listener?.probed === undefined ? {} : { probed: listener.probed }),
    ...(listener?.unprobed === undefined ? {} : { unprobed: listener.unprobed })
  }

  const entryOf = (key: string): Entry => {
    let entry = entries.get(key)
    if (entry === undefined) {
      const cell = new Cell(key, host)
      entry = { cell, enter: (_restore, requestId) => enter(cell, now(), requestId) }
      entries.set(key, entry)
    }
    return entry
  }

  const service = CircuitBreakerPort.make({
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
  return { service, entryOf, now, random: host.random }
})
