/**
 * The places of probes: a fleet makes together as many calls to a breaker that
 * is half-open as a single process would. Each probe asks Redis for its place
 * before it leaves; nobody else waits for that.
 *
 * A place whose probe ended without a verdict serves the next probe of this
 * process, and is given back with the next poll. A killed process's places are
 * free again after their time.
 */
import { Effect } from "effect"
import type { CircuitBreakerError } from "../../domain/errors.ts"
import type { BreakerPolicy } from "../../domain/policy.ts"
import type * as Guard from "../../services/guard.ts"
import type { RedisClient } from "../redis/client.ts"
import type { Cell } from "./cell.ts"
import type { Fleet } from "./fleet.ts"
import * as Lua from "./fleet-lua.ts"
import type { Lease } from "./lease.ts"
import * as Local from "./local.ts"

/** A key whose probes are all under way elsewhere is not asked for again for so long (ms). */
const refusedMs = 100

/** A place not in use. `until`: epoch ms. */
interface Kept {
  readonly id: string
  readonly until: number
}

/** What this process has of one key's places, in one generation. */
interface Places {
  readonly generation: number
  refusedUntil: number
  kept: Array<Kept>
}

export interface PlacesOptions {
  readonly client: RedisClient["Service"]
  readonly fleet: () => Fleet
  readonly policy: BreakerPolicy
  readonly now: () => number
  readonly origin: string
}

export class ProbePlaces {
  private readonly options: PlacesOptions
  private readonly places = new Map<string, Places>()
  private readonly idOf = new WeakMap<Lease, string>()
  private readonly lastsMs: number
  private count = 0

  constructor(options: PlacesOptions) {
    this.options = options
    const { maxOpenMs, slowMs } = options.policy
    this.lastsMs = Math.ceil(Math.min(Math.max(1_000, 2 * slowMs), Math.max(1_000, maxOpenMs)))
  }

  /** The same lease once it has a place; gives it back and refuses where there is none. */
  take(
    entry: Local.Entry,
    lease: Lease,
    restore: Guard.Restore,
    requestId: string | undefined
  ): Effect.Effect<Lease, CircuitBreakerError> {
    const { client, now } = this.options
    const { cell } = entry
    const at = now()
    const its = this.of(cell.key)
    const kept = its.kept.pop()
    if (kept !== undefined && kept.until > at) {
      this.idOf.set(lease, kept.id)
      return Effect.succeed(lease)
    }
    if (at < its.refusedUntil && at >= its.refusedUntil - refusedMs) {
      lease.release()
      return Local.refuse(cell, at, requestId)
    }
    if (!client.usable()) return Effect.succeed(lease)
    let gone = false
    const asked = Effect.callback<Lease, CircuitBreakerError>((resume) => {
      this.ask(cell.key, 2, (id, known) => {
        if (id !== undefined && gone) this.keep(cell.key, id)
        else if (id !== undefined) this.idOf.set(lease, id)
        if (gone) return
        // Where Redis cannot say, each process probes for itself.
        if (id !== undefined || !known) return resume(Effect.succeed(lease))
        lease.release()
        // By now it may have been closed.
        resume(
          Effect.suspend(() =>
            cell.state === "closed" ? entry.enter(restore, requestId) : this.refuse(cell, requestId)
          )
        )
      })
    })
    const leave = Effect.sync(() => {
      gone = true
      lease.release()
    })
    return Effect.onInterrupt(restore(asked), () => leave)
  }

  /** A probe was answered. */
  answered(cell: Cell, lease: Lease, slow: boolean): void {
    const { client } = this.options
    if (cell.spared || !client.usable()) return
    const fleet = this.options.fleet()
    const id = this.idOf.get(lease) ?? ""
    this.idOf.delete(lease)
    const args = [cell.key, fleet.generationOf(cell.key), id, slow ? 1 : 0, fleet.channel]
    client.runUnsafe(Lua.answered, [fleet.hash], args, (_, value) => fleet.learnFrom(value))
  }

  /** A probe ended without a verdict. */
  free(cell: Cell, lease: Lease): void {
    const id = this.idOf.get(lease)
    if (id !== undefined) this.keep(cell.key, id)
    this.idOf.delete(lease)
  }

  /** Give back what is not in use. */
  tidy(): void {
    const { client } = this.options
    const fleet = this.options.fleet()
    for (const [key, { generation, kept }] of this.places) {
      if (kept.length === 0 || !client.usable()) continue
      const args = [key, generation, ...kept.splice(0).map(({ id }) => id)]
      client.runUnsafe(Lua.giveBack, [fleet.hash], args, () => {})
    }
  }

  private refuse(cell: Cell, requestId: string | undefined): Effect.Effect<never, CircuitBreakerError> {
    const at = this.options.now()
    this.of(cell.key).refusedUntil = at + refusedMs
    return Local.refuse(cell, at, requestId)
  }

  /** `done` with the place's name, or without: because there is none (`known`), or because Redis does not answer. */
  private ask(key: string, tries: number, done: (id: string | undefined, known: boolean) => void): void {
    const { client, origin, policy } = this.options
    const fleet = this.options.fleet()
    // A change that this process has made belongs to the generation of which the place is.
    fleet.whenTold(key, () => {
      const base = fleet.generationOf(key)
      const id = `${origin}:${this.count++}`
      client.runUnsafe(Lua.claim, [fleet.hash], [key, base, policy.probes, this.lastsMs, id], (error, value) => {
        if (error !== undefined || !Array.isArray(value)) return done(undefined, false)
        if (value[0] === 1) return done(id, true)
        fleet.learnFrom(value[1])
        // Refused for the older generation; perhaps not in this one.
        if (tries > 1 && fleet.generationOf(key) !== base) this.ask(key, tries - 1, done)
        else done(undefined, true)
      })
    })
  }

  private keep(key: string, id: string): void {
    this.of(key).kept.push({ id, until: this.options.now() + this.lastsMs })
  }

  private of(key: string): Places {
    const generation = this.options.fleet().generationOf(key)
    let places = this.places.get(key)
    if (places === undefined || places.generation !== generation) {
      places = { generation, refusedUntil: -Infinity, kept: [] }
      this.places.set(key, places)
    }
    return places
  }
}
