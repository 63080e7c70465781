/**
 * One process's view of the fleet's breakers: tells what changed here, takes
 * over what changed elsewhere, and keeps both until each side knows.
 *
 * A change that could not be told (Redis away) is kept and told later, as long
 * as it still means something. A change elsewhere is taken over once, by its
 * generation, whichever way it arrives first: as a message, as the answer to a
 * script, or with the next poll.
 */
import type { Done, RedisClient } from "../redis/client.ts"
import type { BreakerTransition } from "../../services/circuit-breaker.ts"
import type { Cell } from "./cell.ts"
import * as Lua from "./fleet-lua.ts"
import type { Shared } from "./fleet-lua.ts"

/** A change of this process. Times are epoch ms of its own clock; a time of Infinity is for ever. */
interface Change {
  readonly state: "open" | "closed"
  readonly until: number
  readonly level: number
  readonly how: "judged" | "manual" | "restore"
  readonly reason: BreakerTransition["reason"]
}

/** What is known of one key in the fleet. */
interface Known {
  readonly cell: Cell
  generation: number
  /** The newest change of this process that Redis does not know of. */
  pending: Change | undefined
  /** A change is on its way. */
  sending: boolean
  /** Called once nothing is on its way. */
  readonly settled: Array<() => void>
  /** The state that the fleet agreed on, to be told again should Redis lose it. */
  agreed: Change | undefined
}

export interface FleetOptions {
  readonly client: RedisClient["Service"]
  readonly cellOf: (key: string) => Cell
  readonly now: () => number
  /** Names this process. */
  readonly origin: string
}

/** A record as JSON, from a script of ours. */
const parse = (text: unknown): Shared | undefined => {
  if (typeof text !== "string") return undefined
  // Written by `fleet-lua.ts` alone: keys of this deployment are nobody else's.
  return JSON.parse(text) as Shared
}

export class Fleet {
  readonly hash: string
  readonly channel: string
  private readonly options: FleetOptions
  private readonly known = new Map<string, Known>()
  /** Of the records seen last as a whole; empty: they have changed since, so see them again. */
  private revision = ""
  /** Nothing has been heard yet: what others did before this process began is not news. */
  private starting = true
  /** What this process changes now was learned from others, so they need not hear of it. */
  private learning = false

  constructor(options: FleetOptions) {
    this.options = options
    this.hash = options.client.key("breakers")
    this.channel = options.client.key("breakers:changes")
  }

  generationOf(key: string): number {
    return this.knownOf(key).generation
  }

  /** A transition in this process. Those by hand are told by {@link byHand}, which knows for how long. */
  changed({ atMs, key, reason, to }: BreakerTransition): void {
    // That its open time is over is noticed by each process for itself; what is spared is judged by each for itself.
    if (this.learning || to === "half-open" || reason === "manual") return
    const { forMs, level } = this.knownOf(key).cell.opened(atMs)
    const until = to === "open" ? atMs + forMs : atMs
    this.change(key, { state: to, until, level: to === "open" ? level : 0, how: "judged", reason })
  }

  /** Opened or closed by hand for `forMs`. */
  byHand(key: string, state: "open" | "closed", forMs: number): void {
    const until = this.options.now() + forMs
    this.change(key, { state, until, level: 0, how: "manual", reason: "manual" })
  }

  /** Call `done` once what has changed in this process is known to Redis, or cannot be told now. */
  whenTold(key: string, done: () => void): void {
    const known = this.knownOf(key)
    if (known.sending) known.settled.push(done)
    else done()
  }

  /** A message on the channel. */
  heard(message: string): void {
    const shared = parse(message)
    // Its own changes are known by the answers to them.
    if (shared !== undefined && shared.origin !== this.options.origin) this.learn(shared)
  }

  /** Ask for all that has changed since; `done` is called in any case. Tells what could not be told before. */
  poll(done: () => void): void {
    const { client } = this.options
    if (!client.usable()) return done()
    client.runUnsafe(Lua.poll, [this.hash], ["", this.revision], (error, value) => {
      if (process.env.DBG) console.log("POLL", this.options.origin, error?.reason, value)
      if (error === undefined && Array.isArray(value)) this.polled(value)
      done()
    })
  }

  /** The record that came with an answer. */
  learnFrom(text: unknown): void {
    const shared = parse(text)
    if (shared !== undefined) this.learn(shared)
  }

  private polled([revision, ...records]: ReadonlyArray<unknown>): void {
    if (revision !== this.revision) {
      const there = new Map<string, number>()
      for (const record of records) {
        const shared = parse(record)
        if (shared === undefined) continue
        there.set(shared.key, shared.generation)
        this.learn(shared)
      }
      for (const [key, known] of this.known) {
        if (known.agreed !== undefined && (there.get(key) ?? 0) < known.generation) this.restore(known)
      }
      this.revision = String(revision)
    }
    this.starting = false
    for (const [key, known] of this.known) this.send(key, known)
  }

  private knownOf(key: string): Known {
    let known = this.known.get(key)
    if (known === undefined) {
      const cell = this.options.cellOf(key)
      known = { cell, generation: 0, pending: undefined, sending: false, settled: [], agreed: undefined }
      this.known.set(key, known)
    }
    return known
  }

  private change(key: string, change: Change): void {
    const known = this.knownOf(key)
    known.pending = change
    if (this.options.client.usable()) this.send(key, known)
  }

  /** Redis has lost what was agreed on. */
  private restore(known: Known): void {
    const { agreed } = known
    if (agreed === undefined || known.pending !== undefined || agreed.until <= this.options.now()) return
    known.pending = { ...agreed, how: "restore" }
  }

  private send(key: string, known: Known): void {
    const { client, now, origin } = this.options
    const change = known.pending
    if (change === undefined || known.sending) return
    const { how, level, reason, state, until } = change
    const left = until - now()
    // Nobody needs to hear of an open time that is over.
    if (state === "open" && left <= 0) {
      known.pending = undefined
      return
    }
    const forMs = left === Infinity ? -1 : Math.max(0, Math.ceil(left))
    const args = [key, known.generation, state, forMs, level, how, reason, origin, this.channel]
    known.sending = true
    const done: Done<unknown> = (error, value) => {
      known.sending = false
      if (error === undefined && Array.isArray(value)) {
        this.told(known, change, value[0] === 1, parse(value[1]))
        this.send(key, known)
      }
      if (!known.sending) for (const settled of known.settled.splice(0)) settled()
    }
    client.runUnsafe(Lua.change, [this.hash], args, done)
  }

  private told(known: Known, change: Change, accepted: boolean, shared: Shared | undefined): void {
    if (shared === undefined) return
    if (accepted || change.how === "restore") {
      if (known.pending === change) known.pending = undefined
    }
    if (!accepted) return this.learn(shared)
    if (shared.generation < known.generation) return
    known.generation = shared.generation
    this.revision = ""
    known.agreed = { ...change, how: "judged" }
  }

  /** Take over what is newer than what is known. */
  private learn(shared: Shared): void {
    const known = this.knownOf(shared.key)
    const at = this.options.now()
    const { cell, pending } = known
    const { answered, forMs, generation, level, manual, reason, slow, state } = shared
    if (generation < known.generation) return
    if (generation === known.generation) {
      // With a change on its way, this process is ahead of that.
      if (answered > 0 && pending === undefined) cell.probedElsewhere(at, answered, slow)
      return
    }
    known.generation = generation
    this.revision = ""
    if (shared.origin === this.options.origin) {
      // Told before, but the answer was lost.
      if (pending?.state === state) known.pending = undefined
      return
    }
    const lastsMs = forMs < 0 ? Infinity : forMs
    known.agreed = { state, until: at + lastsMs, level, how: "judged", reason }
    // What was done here by hand is on its way, and counts for more. So does what this process's own window shows
    // against a closing that it did not hear of; a probe's failure does not, for it belongs to the older generation.
    if (pending?.how === "manual") return
    const seen = pending?.state === "open" && pending.reason !== "probe-failed"
    if (seen && state === "closed" && !manual) return
    known.pending = undefined
    const fresh = !this.starting || lastsMs > 0
    cell.look(at)
    this.learning = true
    if (state === "open" && manual) {
      if (lastsMs > 0) cell.trip(at, lastsMs)
    } else if (state === "open") cell.openedElsewhere(at, lastsMs, level, reason)
    else if (manual && fresh) cell.reset(at, lastsMs)
    else if (!manual) cell.closedElsewhere(at)
    this.learning = false
  }
}
