/**
 * One round trip for all that a request needs of Redis before it may go on:
 * the layers of the rate limiter, the leases and the budget each put their part
 * into the request's batch, and the first of them that is waited for sends it.
 * A request that asks one of them alone has a batch of its own.
 *
 * - all or nothing: where one part is refused, the others have taken nothing
 * - an answer that does not come is asked for again, over another connection, after a third and two thirds of the time
 *   there is; leases and reservations know their id, and a charge that was taken twice is given back
 * - a caller who leaves before the answer is here leaves nothing behind
 *
 * What is given back and settled goes out in batches in the background
 * (`settlements.ts`).
 */
import { Context, Effect, Layer } from "effect"
import type { Caller } from "../../domain/caller.ts"
import { Timers } from "../../services/timers.ts"
import type { Timer } from "../../services/timers.ts"
import { RedisClient } from "../redis/client.ts"
import * as Lua from "./lua.ts"
import * as Settlements from "./settlements.ts"

/** What became of a part. `Else`: another part was refused, and nothing was taken. `Away`: Redis could not be asked. */
export type Outcome =
  | { readonly _tag: "Admitted"; readonly values: ReadonlyArray<number>; readonly fence: number }
  | { readonly _tag: "Refused"; readonly values: ReadonlyArray<number> }
  | { readonly _tag: "Else" }
  | { readonly _tag: "Away" }

/** A layer's part of a request's admission. */
export interface Part {
  readonly section: "L" | "S" | "B"
  /** The section's arguments, its letter first. */
  readonly args: ReadonlyArray<string | number>
  /** How many numbers of the answer are its own. */
  readonly size: number
  /** Give back what the script took, where nobody wants it any more. */
  readonly giveBack: (settlements: Settlements.Settlements) => void
  /** Set the counters of the given cap and window, then `again`: whether it is worth asking again. */
  readonly seed?: (cap: number, window: string, again: (ok: boolean) => void) => void
}

/** Most rounds of one batch: each may find another cap whose counters have to be set first. */
const mostRounds = 8

/** Times that a batch is sent in one round, spread over the time there is. */
const mostSends = 3

const away: Outcome = { _tag: "Away" }
const otherwise: Outcome = { _tag: "Else" }

class Batch {
  readonly id: string | undefined
  readonly caller: Caller
  sent = false
  private readonly host: Host
  private readonly parts: Array<Part> = []
  private readonly claims: Array<(outcome: Outcome) => void> = []
  private outcomes: ReadonlyArray<Outcome> | undefined
  private left = false
  private rounds = 0
  private sends = 0
  private admitted = false
  private timer: Timer | undefined
  private deadline = 0

  constructor(host: Host, id: string | undefined, caller: Caller) {
    this.host = host
    this.id = id
    this.caller = caller
  }

  has(section: Part["section"]): boolean {
    return this.parts.some((part) => part.section === section)
  }

  add(part: Part): number {
    return this.parts.push(part) - 1
  }

  /** The outcome of a part; sends the batch where nobody has yet. */
  claim(index: number): Effect.Effect<Outcome> {
    return Effect.callback((resume) => {
      if (this.outcomes !== undefined) return resume(Effect.succeed(this.outcomes[index]!))
      this.claims[index] = (outcome) => resume(Effect.succeed(outcome))
      if (!this.sent) this.begin()
      return Effect.sync(() => {
        this.left = true
      })
    })
  }

  private begin(): void {
    this.sent = true
    this.host.sealed(this)
    if (!this.host.client.usable()) return this.settle(away)
    this.round()
  }

  private round(): void {
    const { client, timers } = this.host
    this.rounds++
    this.sends = 0
    this.deadline = timers.now() + client.timeoutMs
    this.send()
  }

  private send(): void {
    const { client, timers } = this.host
    const round = this.rounds
    this.sends++
    const args = this.parts.flatMap((part) => part.args)
    args.unshift(client.key(""))
    client.runUnsafe(
      Lua.admit,
      [client.key("fence")],
      args,
      (error, value) => this.heard(round, error === undefined ? value : undefined),
      this.sends % 2 === 0
    )
    this.timer ??= timers.make(() => this.late())
    const nextAt = timers.now() + client.timeoutMs / mostSends
    this.timer.arm(this.sends < mostSends ? nextAt : this.deadline)
  }

  private late(): void {
    if (this.outcomes !== undefined) return
    if (this.sends < mostSends && !this.host.client.down()) this.send()
    else this.giveUp()
  }

  /** It may have been executed, or may yet be: leases and reservations of its ids are given back in any case. */
  private giveUp(): void {
    for (const part of this.parts) if (part.section !== "L") part.giveBack(this.host.settlements)
    this.settle(away)
  }

  private heard(round: number, value: unknown): void {
    if (!Array.isArray(value)) {
      // Away, or too late. Where sends are left, the timer sends again; a connection that is down needs no waiting.
      if (this.outcomes === undefined && round === this.rounds && this.host.client.down()) this.giveUp()
      return
    }
    // The script answers with numbers, and with letters in known places.
    const answer = value as ReadonlyArray<number | string>
    if (answer[0] === 1) return this.admit(answer as ReadonlyArray<number>)
    if (this.outcomes !== undefined || round !== this.rounds) return
    if (answer[1] === "U") return this.unseeded(Number(answer[2]) - 1, String(answer[3]))
    // Another send may find room a moment later, and its answer may be lost: nothing of its ids is to be kept.
    if (this.sends > 1) for (const part of this.parts) if (part.section !== "L") part.giveBack(this.host.settlements)
    const refused: Outcome = { _tag: "Refused", values: answer.slice(2).map(Number) }
    this.finish(this.parts.map(({ section }) => (section === answer[1] ? refused : otherwise)))
  }

  private admit(answer: ReadonlyArray<number>): void {
    if (this.outcomes !== undefined) {
      // Two sends were executed: what was charged twice goes back; ids are charged once. After giving up, all goes back.
      for (const part of this.parts) if (part.section === "L" || !this.admitted) part.giveBack(this.host.settlements)
      return
    }
    this.admitted = true
    let at = 3
    const outcomes = this.parts.map(({ size }): Outcome => {
      const values = answer.slice(at, at + size)
      at += size
      return { _tag: "Admitted", values, fence: answer[2] ?? 0 }
    })
    if (this.left) for (const part of this.parts) part.giveBack(this.host.settlements)
    this.finish(outcomes)
  }

  private unseeded(cap: number, window: string): void {
    const seed = this.parts.find(({ section }) => section === "B")?.seed
    if (seed === undefined || this.rounds >= mostRounds) return this.settle(away)
    this.timer?.disarm()
    this.rounds++
    seed(cap, window, (ok) => {
      if (ok && !this.left) this.round()
      else this.settle(away)
    })
  }

  private settle(outcome: Outcome): void {
    this.finish(this.parts.map(() => outcome))
  }

  private finish(outcomes: ReadonlyArray<Outcome>): void {
    if (this.outcomes !== undefined) return
    this.outcomes = outcomes
    this.timer?.disarm()
    this.claims.forEach((claim, index) => claim(outcomes[index]!))
  }
}

interface Host {
  readonly client: RedisClient["Service"]
  readonly timers: Timers["Service"]
  readonly settlements: Settlements.Settlements
  /** No more parts for this batch. */
  readonly sealed: (batch: Batch) => void
}

/** Admission over Redis, for the layers behind the rate limiter, the leases and the budget. */
export class Admission extends Context.Service<
  Admission,
  {
    /**
     * Put a part into the batch of a request; nothing is sent until the result is run. A request is known by its id
     * and its caller, the very object: a client may choose the id, and may choose the same one twice.
     */
    readonly join: (requestId: string | undefined, caller: Caller, part: Part) => Effect.Effect<Outcome>
    readonly settlements: Settlements.Settlements
  }
>()("ballast/layers/admission/Admission") {}

/** Over one client; what is still to be settled goes out before the scope is closed. */
export const make = Effect.fnUntraced(function* (books: boolean) {
  const client = yield* RedisClient
  const timers = yield* Timers
  const settlements = yield* Settlements.make(client, timers, books)
  let open: Batch | undefined
  const host: Host = {
    client,
    timers,
    settlements,
    sealed: (batch) => {
      if (open === batch) open = undefined
    }
  }
  return Admission.of({
    settlements,
    join: (requestId, caller, part) => {
      // Parts of one request are put together within one turn, so one open batch is enough.
      const joins = open !== undefined && open.id === requestId && open.caller === caller && !open.has(part.section)
      const batch = joins && open !== undefined && requestId !== undefined ? open : new Batch(host, requestId, caller)
      open = batch
      return batch.claim(batch.add(part))
    }
  })
})

/** {@link make} as a layer. `books`: whether somebody writes the ledger's stream to the books. */
export const layer = (books: boolean): Layer.Layer<Admission, never, RedisClient | Timers> =>
  Layer.effect(Admission, make(books))
