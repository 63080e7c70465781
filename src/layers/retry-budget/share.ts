/**
 * One process's part of the fleet's bucket: some calls taken out in advance, so
 * that a draw is a subtraction; whoever finds none left waits for one exchange
 * with Redis, which all who wait then share. Deposits are added up and sent with
 * the next exchange.
 */
import type { RedisClient } from "../redis/client.ts"
import { tolerance } from "./account.ts"
import * as Lua from "./bucket-lua.ts"

/** Time (ms) between two exchanges, and until an empty bucket is asked again. */
export const everyMs = 200

/** What a process has taken out goes back when nothing was heard of it for so long (ms, the server's time). */
export const holdsMs = 2_000

/** By its own clock it uses it no longer than this (ms) after it asked: less, so that it is never in two hands. */
const usableMs = 1_500

/** What was not drawn from for so long (ms) is given back. */
const idleMs = 1_000

/** `undefined`: Redis cannot say. */
export type Answer = (granted: boolean | undefined) => void

export interface ShareOptions {
  readonly client: RedisClient["Service"]
  readonly now: () => number
  /** Names this process. */
  readonly id: string
  /** Most that the fleet saves up. */
  readonly most: number
}

/** A message of which nobody knows whether it was executed: it keeps its number and its deposits. */
interface Message {
  readonly number: number
  readonly paid: number
  readonly unused: number
  readonly madeAt: number
}

export class Share {
  private readonly options: ShareOptions
  private readonly key: string
  private held = 0
  private heldUntil = -Infinity
  private drawnAt = -Infinity
  /** Paid in here, and not sent. */
  private paid = 0
  /** Taken out, not used, and no longer held. */
  private unused = 0
  /** Left in the bucket when it was seen last. */
  private rest: number
  private seenAt = -Infinity
  private emptyUntil = -Infinity
  private waiting: Array<Answer> = []
  private message: Message | undefined
  private number = 0
  private sending = false
  /** Redis did not answer: what is paid in now is this process's own (`account.ts`). */
  private away = false

  constructor(options: ShareOptions) {
    this.options = options
    this.key = options.client.key("retries")
    this.rest = options.most
  }

  pay(amount: number): void {
    if (this.away) return
    // A bucket that was full a moment ago takes no more; an older view says nothing.
    const seen = this.options.now() - this.seenAt < 2 * everyMs ? this.rest : 0
    this.paid = Math.max(0, Math.min(this.options.most - this.held - seen, this.paid + amount))
  }

  /** Take one of those taken out in advance. */
  take(): boolean {
    const at = this.options.now()
    this.lapse(at)
    if (this.held < 1) return false
    this.held--
    this.drawnAt = at
    return true
  }

  /** Whether asking Redis is in vain. */
  isEmpty(): boolean {
    const at = this.options.now()
    const sent = this.message?.paid ?? 0
    return at < this.emptyUntil && at >= this.emptyUntil - everyMs && this.rest + this.paid + sent + tolerance < 1
  }

  /** Ask for one. */
  ask(answer: Answer): void {
    this.drawnAt = this.options.now()
    this.waiting.push(answer)
    this.exchange()
  }

  /** Put back one that was given to somebody who is gone. */
  putBack(): void {
    this.held++
  }

  /** How many could be had, by what is known. */
  get known(): number {
    return this.held + this.rest + this.paid
  }

  /** Tell Redis what is new, give back what is idle, keep what is in use. `done` is called in any case. */
  tick(done: () => void = () => {}): void {
    const at = this.options.now()
    this.lapse(at)
    if (this.held > 0 && at - this.drawnAt >= idleMs) {
      this.unused += this.held
      this.held = 0
    }
    const nothing = this.held === 0 && this.paid === 0 && this.unused === 0 && this.message === undefined
    if ((nothing && !this.away) || !this.options.client.usable()) return done()
    this.exchange(done)
  }

  /** Look into the bucket. Says whether Redis answered. */
  look(done: (seen: boolean) => void): void {
    if (this.options.client.usable()) this.exchange(done)
    else done(false)
  }

  /** Nothing in hand may be used for longer than Redis keeps it for this process. */
  private lapse(at: number): void {
    if (this.held === 0 || (at < this.heldUntil && at >= this.heldUntil - usableMs)) return
    this.unused += this.held
    this.held = 0
  }

  private exchange(done: (answered: boolean) => void = () => {}): void {
    const { client, id, most, now } = this.options
    if (this.sending) return done(true)
    const at = now()
    this.lapse(at)
    // For longer Redis does not remember whether it has had this message: better lost than counted twice.
    if (this.message !== undefined && at - this.message.madeAt >= usableMs) this.message = undefined
    if (this.message === undefined) {
      this.message = { number: ++this.number, paid: this.paid, unused: this.unused, madeAt: at }
      this.paid = 0
      this.unused = 0
    }
    const { number, paid, unused } = this.message
    const wanted = Math.max(0, this.waiting.length - this.held)
    const busy = at - this.drawnAt < idleMs ? 1 : 0
    const args = [id, number, most, paid.toFixed(6), this.held, unused, wanted, busy, holdsMs]
    this.sending = true
    client.runUnsafe(Lua.exchange, [this.key], args, (error, value) => {
      this.sending = false
      this.away = error !== undefined
      if (error === undefined && Array.isArray(value)) {
        this.message = undefined
        this.held += Number(value[0])
        this.heldUntil = at + usableMs
        this.rest = Number(value[1])
        this.seenAt = now()
        this.emptyUntil = this.rest < 1 ? now() + everyMs : -Infinity
        this.serve()
      } else {
        this.paid = 0
        for (const answer of this.waiting.splice(0)) answer(undefined)
      }
      done(error === undefined)
    })
  }

  private serve(): void {
    const served: Array<Answer> = []
    while (this.waiting.length > 0 && this.take()) served.push(...this.waiting.splice(0, 1))
    let refused: Array<Answer> = []
    if (this.waiting.length > 0) {
      if (this.rest + this.paid + tolerance >= 1) this.exchange()
      else refused = this.waiting.splice(0)
    }
    // Last: whoever is answered may go on at once, and ask again.
    for (const answer of served) answer(true)
    for (const answer of refused) answer(false)
  }
}
