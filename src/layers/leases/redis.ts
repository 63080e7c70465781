/**
 * Calls of each tenant in flight over all processes: a sorted set of leases by
 * expiry in Redis, by the server's clock (`admission/lua.ts`).
 *
 * - one script for each process renews all its leases at a third of their life and says that the process lives
 * - a lease that was not renewed in time is lost where somebody else has its place; else it is given again. A process that
 *   slept (SIGSTOP, a blocked event loop) learns which when it wakes
 * - while Redis is away, new calls are counted in this process, up to its share. Calls that hold a lease go on: a store
 *   that is gone ends nobody's stream. Cut off alone, a process so exceeds the limit by what it had in flight
 */
import { Clock, Effect, Layer, Random } from "effect"
import type { Caller } from "../../domain/caller.ts"
import type { LeaseError } from "../../domain/errors.ts"
import type { LeasePolicy } from "../../domain/policy.ts"
import type * as Guard from "../../services/guard.ts"
import { Leases, unlimited } from "../../services/leases.ts"
import * as LeasesPort from "../../services/leases.ts"
import type { TenantLease } from "../../services/leases.ts"
import { Timers } from "../../services/timers.ts"
import { Admission } from "../admission/admission.ts"
import type { Outcome, Part } from "../admission/admission.ts"
import { livesUs, wordMs } from "../admission/fleet.ts"
import type { Fleet } from "../admission/fleet.ts"
import * as Lua from "../admission/lua.ts"
import * as ProcessId from "../admission/process-id.ts"
import type { Settlements } from "../admission/settlements.ts"
import { RedisClient } from "../redis/client.ts"
import * as Memory from "./memory.ts"

/** Most leases in one renewal. */
const mostAtOnce = 500

/** A lease in Redis. */
class Held implements TenantLease {
  readonly fence: number
  readonly key: string
  readonly id: string
  readonly limit: number
  /** By this process's monotonic clock (ms): it may have expired by then, unless it was renewed. */
  goodUntil: number
  private readonly owner: Map<string, Held>
  private readonly settlements: Settlements
  private open = true
  private lost: (() => void) | undefined

  constructor(
    owner: Map<string, Held>,
    settlements: Settlements,
    key: string,
    id: string,
    limit: number,
    fence: number,
    goodUntil: number
  ) {
    this.owner = owner
    this.settlements = settlements
    this.key = key
    this.id = id
    this.limit = limit
    this.fence = fence
    this.goodUntil = goodUntil
    owner.set(id, this)
  }

  held(): boolean {
    return this.open
  }

  onLost(lost: () => void): void {
    this.lost = lost
  }

  /** It has expired: somebody else may have its place. */
  lose(): void {
    if (!this.open) return
    this.open = false
    this.owner.delete(this.id)
    this.lost?.()
  }

  release(): void {
    if (!this.open) return
    this.open = false
    this.owner.delete(this.id)
    this.settlements.push(["S", this.key, this.id])
  }
}

const keyOf = (tenant: string): string => `l:${tenant}`

/** Leases over the admission of `Admission`; `fleet` is told how many processes live. */
export const make = Effect.fnUntraced(function* (policy: LeasePolicy, fleet: Fleet) {
  const { join, settlements } = yield* Admission
  const client = yield* RedisClient
  const timers = yield* Timers
  const clock = yield* Clock.Clock
  const random = yield* Random.Random
  const local = Memory.make(policy, fleet.share)
  const mine = new Map<string, Held>()
  const process = ProcessId.make(random)
  const ttlUs = Math.round(policy.ttlMs * 1_000)
  let counter = 0

  /** Monotonic: a wall clock that is set moves no expiry. */
  const now = (): number => Number(clock.monotonicTimeNanosUnsafe() / 1_000n) / 1_000

  const say = (leases: ReadonlyArray<Held>): void => {
    const sentAt = now()
    const args = [client.key(""), process, livesUs, ttlUs, ...leases.flatMap(({ id, key, limit }) => [key, id, limit])]
    client.runUnsafe(Lua.renew, [client.key("fence")], args, (error, value) => {
      if (error !== undefined || !Array.isArray(value)) return
      // The script answers with a count and ids.
      const [count, ...expired] = value as ReadonlyArray<number | string>
      fleet.told(Number(count))
      const gone = new Set(expired.map(String))
      for (const lease of leases) {
        if (gone.has(lease.id)) lease.lose()
        else lease.goodUntil = sentAt + policy.ttlMs
      }
    })
  }
  const due = (at: number): ReadonlyArray<Held> => {
    const leases: Array<Held> = []
    for (const lease of mine.values()) {
      if (at >= lease.goodUntil - (policy.ttlMs * 2) / 3) leases.push(lease)
    }
    return leases
  }
  let spokenAt = -Infinity
  const tick = (): void => {
    const at = now()
    const leases = due(at)
    if (client.usable()) {
      for (let i = 0; i < leases.length; i += mostAtOnce) say(leases.slice(i, i + mostAtOnce))
      if (leases.length === 0 && at - spokenAt >= wordMs) say([])
      if (leases.length > 0 || at - spokenAt >= wordMs) spokenAt = at
    }
    timer.arm(timers.now() + Math.min(wordMs, policy.ttlMs / 6))
  }
  const timer = timers.make(tick)
  tick()
  yield* Effect.addFinalizer(() => Effect.sync(() => timer.disarm()))

  const acquireUnsafe =
    (caller: Caller) =>
    (restore: Guard.Restore, requestId: string | undefined): Effect.Effect<TenantLease, LeaseError> => {
      const limit = policy[caller.plan]
      if (limit === undefined) return Effect.succeed(unlimited)
      const key = keyOf(caller.tenant)
      const id = `${process}-${++counter}`
      const part: Part = {
        section: "S",
        args: ["S", key, id, limit, ttlUs],
        size: 0,
        giveBack: (to) => to.push(["S", key, id])
      }
      const askedAt = now()
      const decide = (outcome: Outcome): Effect.Effect<TenantLease, LeaseError> => {
        switch (outcome._tag) {
          case "Admitted":
            // From when it was asked for: the store cannot have given it earlier.
            return Effect.succeed(new Held(mine, settlements, key, id, limit, outcome.fence, askedAt + policy.ttlMs))
          case "Refused":
            return Effect.fail(
              Memory.exceeded(
                requestId,
                limit,
                Math.min(Memory.retryAfterMs, Math.max(50, (outcome.values[0] ?? 0) / 1_000))
              )
            )
          case "Else":
            return Effect.succeed(unlimited)
          case "Away":
            return local.acquireUnsafe(caller)(restore, requestId)
        }
      }
      return Effect.flatMap(restore(join(requestId, caller, part)), decide)
    }

  return LeasesPort.make({
    acquireUnsafe,
    held: (tenant) =>
      client.send<number>("ZCARD", client.key(keyOf(tenant))).pipe(
        Effect.map(Number),
        Effect.catch(() => local.held(tenant))
      )
  })
})

/** {@link make} as a layer. */
export const layer = (
  policy: LeasePolicy,
  fleet: Fleet
): Layer.Layer<Leases, never, Admission | RedisClient | Timers> => Layer.effect(Leases, make(policy, fleet))
