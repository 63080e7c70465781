/**
 * One limit, and who waits for room in it.
 *
 * - room that is there, with nobody waiting for it, is taken in one synchronous step
 * - tenants that wait take turns by what their calls take of the limit (start-time fair queueing: Goyal, Vin and Cheng,
 *   SIGCOMM 1996); a tenant's own calls leave in the order in which they came. For calls of one size and one patience that
 *   is the order of their deadlines, which no other order beats
 * - a call for which there will be no room in time is refused at once, and one for which it is too late now does not take
 *   the room of the next
 * - after a 429 nobody leaves before the provider's Retry-After
 */
import { Effect } from "effect"
import type { PacerError } from "../../domain/errors.ts"
import type { UpstreamLimits } from "../../services/provider.ts"
import type { PacerPermit, PacerRequest, PacerState } from "../../services/pacer.ts"
import type { Timer, Timers } from "../../services/timers.ts"
import { Median } from "../bulkhead/median.ts"
import { learned } from "./learned.ts"
import { Free, Permit } from "./permit.ts"
import * as Refusals from "./refusals.ts"
import type { Rates, Supply, Wait } from "./supply.ts"
import { Queue, Waiter } from "./waiter.ts"

/** What a cell is made of. */
export interface CellOptions {
  readonly key: string
  readonly maxQueue: number
  /** Whether to keep to limits that the provider's headers name. */
  readonly learn: boolean
  /** Milliseconds of a learned limit that may be saved up, and the part of it that this process uses. */
  readonly burstMs: number
  readonly share: number
  readonly timers: Timers["Service"]
  /** Draws from 0 to 1. */
  readonly chance: () => number
  /** Makes the room of a limit that was learned. `changed` is to be called when there is more of it than was to be expected, or when all are to pause for so many ms. */
  readonly supply: (rates: Rates, now: number, changed: (pauseMs: number) => void) => Supply
}

export class Cell {
  /** The permit of a call while nothing is known of any limit: always the same. */
  readonly freePermit: PacerPermit = new Free(this)
  readonly free: Effect.Effect<PacerPermit> = Effect.succeed(this.freePermit)
  private readonly options: CellOptions
  private readonly queue = new Queue()
  private readonly timer: Timer
  private readonly whole = new Median()
  private readonly streams = new Median()
  /** Where each tenant that waits, or did lately, stands in the order. */
  private readonly tags = new Map<string, number>()
  private virtual = 0
  private arrivals = 0
  private supply: Supply | undefined = undefined
  private rates: Rates | undefined
  private readonly configured: boolean
  private pausedUntil = 0
  /** When what we believe was last put right: what was sent before it says nothing new. */
  private correctedAt = -Infinity

  /** `rates` are those of the configuration, if it names any. */
  constructor(options: CellOptions, rates: Rates | undefined) {
    this.options = options
    this.timer = options.timers.make(() => this.pump(options.timers.now()))
    this.rates = rates
    this.configured = rates !== undefined
    if (rates !== undefined) this.refit(rates, options.timers.now())
  }

  /** Whether a call may leave without a look at the clock. */
  get isFree(): boolean {
    return this.supply === undefined && this.pausedUntil === 0
  }

  /** Room, if there is some and nobody waits. */
  tryTake(request: PacerRequest, now: number): PacerPermit | undefined {
    return this.queue.members.length > 0 ? undefined : this.take(request, now, 0)
  }

  /** A place in the queue, or why there is none. */
  enqueue(request: PacerRequest, requestId: string | undefined, now: number): Waiter | PacerError {
    const tag = Math.max(this.virtual, this.tags.get(request.tenant) ?? 0)
    const wait = this.waitOf(request, tag, now)
    const full = this.queue.members.length >= this.options.maxQueue
    if (full || now + wait.ms + this.needMs(request, now) > request.deadline.atMs) {
      return this.refusal(requestId, now, full ? this.waitOf(request, Infinity, now) : wait)
    }
    this.tags.set(request.tenant, tag + (this.supply?.costMs(request.tokens) ?? 1))
    const waiter = new Waiter(request, requestId, tag, this.arrivals++, now)
    this.queue.put(waiter)
    waiter.timer = this.options.timers.make(() => this.expire(waiter))
    waiter.timer.arm(Math.max(now, request.deadline.atMs - this.needMs(request, now)))
    if (this.queue.first() === waiter) this.arm(now)
    return waiter
  }

  /** The waiter has left, awake or not. */
  abandon(waiter: Waiter): void {
    if (!waiter.waiting) {
      waiter.permit?.unused()
      return
    }
    waiter.timer?.disarm()
    this.queue.remove(waiter)
    this.pump(this.options.timers.now())
  }

  /** A call has been answered `ms` after it left. */
  answered({ streamed }: PacerRequest, ms: number): void {
    ;(streamed ? this.streams : this.whole).add(this.options.timers.now(), ms)
  }

  /** Keep to the limit that the provider names, where the configuration names none. */
  learn(limits: UpstreamLimits): void {
    const { burstMs, learn, share, timers } = this.options
    if (this.configured || !learn) return
    const rates = learned(limits, share, burstMs)
    if (rates === undefined || (this.rates !== undefined && isAlike(rates, this.rates))) return
    const now = timers.now()
    this.refit(rates, now)
    this.correctedAt = -Infinity
    this.correct(limits, now, this.supply?.level("requests", now), this.supply?.level("tokens", now))
  }

  /**
   * Others may use the same limit: where the provider said that less is left
   * than we believed when the call left (at `sentAt`), the rest is gone.
   */
  correct(
    limits: UpstreamLimits,
    sentAt: number,
    requestsAfter: number | undefined,
    tokensAfter: number | undefined
  ): void {
    if (this.supply === undefined || sentAt < this.correctedAt) return
    const { share, timers } = this.options
    const gone = (after: number | undefined, remaining: number | undefined) =>
      after === undefined || remaining === undefined ? 0 : Math.max(0, after - remaining * share)
    const requests = gone(requestsAfter, limits.remainingRequests)
    const tokens = gone(tokensAfter, limits.remainingTokens)
    if (requests === 0 && tokens === 0) return
    this.correctedAt = timers.now()
    this.supply.give(this.correctedAt, -requests, -tokens)
  }

  /** The provider refused a call that left at `sentAt` by its limit. */
  limited(sentAt: number, retryAfterMs: number | undefined): void {
    const now = this.options.timers.now()
    const pauseMs = Math.max(0, retryAfterMs ?? 0)
    if (pauseMs > 0) this.pausedUntil = Math.max(this.pausedUntil, now + pauseMs)
    if (sentAt >= this.correctedAt) {
      this.correctedAt = now
      this.supply?.limited(now, pauseMs)
    }
    if (this.queue.members.length === 0) return
    this.sweep(now)
    this.arm(now)
  }

  /** Give room back, or take more. */
  give(requests: number, tokens: number): void {
    const now = this.options.timers.now()
    this.supply?.give(now, requests, tokens)
    if (this.queue.members.length > 0) this.pump(now)
  }

  state(now: number): PacerState {
    return {
      requests: this.supply?.level("requests", now),
      tokens: this.supply?.level("tokens", now),
      waiting: this.queue.members.length,
      pausedUntilMs: this.isPaused(now) ? this.pausedUntil : 0
    }
  }

  private refit(rates: Rates, now: number): void {
    this.rates = rates
    this.supply = this.options.supply(rates, now, (pauseMs) => this.changed(pauseMs))
  }

  /** The supply has news. */
  private changed(pauseMs: number): void {
    const now = this.options.timers.now()
    if (pauseMs > 0) this.pausedUntil = Math.max(this.pausedUntil, now + pauseMs)
    this.sweep(now)
    this.pump(now)
  }

  /** Whether the provider's pause lasts; a pause that is over is forgotten. */
  private isPaused(now: number): boolean {
    if (this.pausedUntil > 0 && now >= this.pausedUntil) this.pausedUntil = 0
    return this.pausedUntil > 0
  }

  private take(request: PacerRequest, now: number, waitedMs: number): PacerPermit | undefined {
    if (this.isPaused(now)) return undefined
    if (this.supply !== undefined && !this.supply.take(now, request.tokens)) return undefined
    return new Permit(
      this,
      request,
      now,
      waitedMs,
      this.supply?.level("requests", now),
      this.supply?.level("tokens", now)
    )
  }

  /** Let leave whoever there is room for. */
  private pump(now: number): void {
    for (let waiter = this.queue.first(); waiter !== undefined; waiter = this.queue.first()) {
      if (this.isTooLate(waiter, now)) {
        this.turnAway(waiter, now)
        continue
      }
      const permit = this.take(waiter.request, now, Math.max(0, now - waiter.since))
      if (permit === undefined) {
        // There may be less room than there was to be when it was let in.
        if (this.isTooLate(waiter, now + this.waitOf(waiter.request, -1, now).ms)) {
          this.turnAway(waiter, now)
          continue
        }
        this.arm(now)
        return
      }
      this.queue.remove(waiter)
      this.virtual = waiter.tag
      waiter.permit = permit
      waiter.finish(Effect.succeed(permit))
    }
    this.timer.disarm()
    this.tags.clear()
    this.virtual = 0
  }

  /** Look again when there will be room for the first. */
  private arm(now: number): void {
    const first = this.queue.first()
    if (first !== undefined) this.timer.arm(now + Math.max(1, this.waitOf(first.request, -1, now).ms))
  }

  /** How long a call with this place in the order will wait. */
  private waitOf({ tokens }: PacerRequest, tag: number, now: number): Wait {
    let requests = 0
    let ahead = 0
    if (tag >= 0) {
      for (const one of this.queue.members) {
        if (one.tag > tag) continue
        requests++
        ahead += one.request.tokens
      }
    }
    const wait: Wait = this.supply?.wait(now, tokens, requests, ahead) ?? { ms: 0, unit: "requests" }
    const pauseMs = this.isPaused(now) ? this.pausedUntil - now : 0
    return pauseMs > wait.ms ? { ms: pauseMs, unit: wait.unit } : wait
  }

  /** What a call usually needs after it has left; 0 when that is not known. */
  private needMs({ streamed }: PacerRequest, now: number): number {
    return (streamed ? this.streams : this.whole).read(now)
  }

  /** Whether a call that leaves at `at` will usually have its answer too late. */
  private isTooLate({ request }: Waiter, at: number): boolean {
    return at + this.needMs(request, this.options.timers.now()) > request.deadline.atMs
  }

  /** Turn away all for whom the provider's pause is too long. */
  private sweep(now: number): void {
    if (!this.isPaused(now)) return
    for (const waiter of Array.from(this.queue.members)) {
      if (this.pausedUntil + this.needMs(waiter.request, now) > waiter.request.deadline.atMs) this.turnAway(waiter, now)
    }
  }

  private turnAway(waiter: Waiter, now: number): void {
    const { request, requestId } = waiter
    this.queue.remove(waiter)
    const error =
      now >= request.deadline.atMs
        ? Refusals.tooLate(request, requestId)
        : this.refusal(requestId, now, this.waitOf(request, Infinity, now))
    waiter.finish(Effect.fail(error))
  }

  private expire(waiter: Waiter): void {
    if (!waiter.waiting) return
    const now = this.options.timers.now()
    this.turnAway(waiter, now)
    this.pump(now)
  }

  private refusal(requestId: string | undefined, now: number, wait: Wait): PacerError {
    const { chance, key } = this.options
    return this.isPaused(now) && this.pausedUntil - now >= wait.ms
      ? Refusals.paused(key, requestId, this.pausedUntil - now, chance())
      : Refusals.noRoom(key, requestId, wait, chance())
  }
}

/** Whether two limits are the same but for the rounding of headers. */
const isAlike = (a: Rates, b: Rates): boolean =>
  near(a.requests, b.requests) && near(a.tokens, b.tokens) && a.burstMs === b.burstMs

const near = (a: number | undefined, b: number | undefined): boolean =>
  a === b || (a !== undefined && b !== undefined && Math.abs(a - b) <= 0.1 * b)
