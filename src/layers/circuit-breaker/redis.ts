/**
 * Circuit breakers of a fleet: each process judges by its own window and
 * decides in its own memory (`memory.ts`), and tells the others by Redis what
 * it has found.
 *
 * - what opens in one process opens in all of them within moments, for as long as it has left there, plus jitter; what is
 *   tripped or reset by hand too, and in those that start later
 * - half-open, all processes together make `probes` calls (`places.ts`); their answers count for everybody
 * - a message that is lost is made good by a poll each {@link pollMs}
 * - a process whose own calls are all well does not open because another says so; nor does any where too much would be
 *   open (`pool.ts`)
 * - while Redis is away each process goes on by itself, and tells afterwards what it has found meanwhile
 *
 * A call to a closed breaker costs nothing more than in memory. Figures: docs/decisions/0016.
 */
import { Effect, Fiber, Layer, Random } from "effect"
import type { BreakerPolicy } from "../../domain/policy.ts"
import { CircuitBreaker } from "../../services/circuit-breaker.ts"
import * as CircuitBreakerPort from "../../services/circuit-breaker.ts"
import type { BreakerLease } from "../../services/circuit-breaker.ts"
import type { CircuitBreakerError } from "../../domain/errors.ts"
import * as Guard from "../../services/guard.ts"
import { listen, RedisClient } from "../redis/client.ts"
import { Fleet } from "./fleet.ts"
import * as Local from "./local.ts"
import type { CircuitBreakerOptions, Entry } from "./local.ts"
import { ProbePlaces } from "./places.ts"

/** Time (ms) between two polls: a change whose message was lost arrives so much later. */
export const pollMs = 500

/** A key's way in, made once. */
type Enter = Guard.EnterUnsafe<BreakerLease, CircuitBreakerError>

/** Breakers shared over Redis. It knows what the fleet knows when it is built, unless Redis is away. */
export const make = Effect.fnUntraced(function* (policy: BreakerPolicy, options?: CircuitBreakerOptions) {
  const client = yield* RedisClient
  const origin = `${yield* Random.nextInt}`
  const local = yield* Local.make(policy, options, {
    changed: (transition) => fleet.changed(transition),
    probed: (cell, call, slow) => places.answered(cell, call, slow),
    unprobed: (cell, call) => places.free(cell, call)
  })
  const { now } = local
  const fleet = new Fleet({ client, cellOf: (key) => local.entryOf(key).cell, now, origin })
  const places = new ProbePlaces({ client, fleet: () => fleet, policy, now, origin })

  const poll = Effect.callback<void>((resume) => fleet.poll(() => resume(Effect.void)))
  const told = (key: string) => Effect.callback<void>((resume) => fleet.whenTold(key, () => resume(Effect.void)))

  const enterOf = (entry: Entry): Enter => {
    const { cell } = entry
    return (restore, requestId) => {
      const lease = entry.enter(restore, requestId)
      if (cell.state !== "half-open" || cell.spared) return lease
      return Guard.chain(lease, (probe) => places.take(entry, probe, restore, requestId))
    }
  }
  const ways = new Map<string, Enter>()
  const acquireUnsafe = (key: string): Enter => {
    let way = ways.get(key)
    if (way === undefined) {
      way = enterOf(local.entryOf(key))
      ways.set(key, way)
    }
    return way
  }

  // What is said before the subscription stands is heard with a poll.
  const listening = yield* Effect.forkScoped(listen(client, fleet.channel, (message) => fleet.heard(message)))
  if (client.usable()) yield* Effect.timeoutOption(Fiber.join(listening), client.timeoutMs)
  yield* poll
  const tick = Effect.andThen(
    poll,
    Effect.sync(() => places.tidy())
  )
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep(pollMs), tick)))

  const { service } = local
  return CircuitBreakerPort.make({
    acquireUnsafe,
    state: service.state,
    trip: (key, forMs) =>
      Effect.suspend(() => {
        local.entryOf(key).cell.trip(now(), forMs)
        fleet.byHand(key, "open", forMs)
        return told(key)
      }),
    reset: (key, forMs = 0) =>
      Effect.suspend(() => {
        local.entryOf(key).cell.reset(now(), forMs)
        fleet.byHand(key, "closed", forMs)
        return told(key)
      }),
    transitions: service.transitions
  })
})

/** {@link make} as a layer. */
export const layer = (
  policy: BreakerPolicy,
  options?: CircuitBreakerOptions
): Layer.Layer<CircuitBreaker, never, RedisClient> => Layer.effect(CircuitBreaker, make(policy, options))
