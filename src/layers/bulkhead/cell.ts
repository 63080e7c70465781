/**
 * The bulkhead of one provider: its places, and who gets the next.
 *
 * - a free place is taken in one synchronous step, and one that comes free goes to a waiter in the step that frees it: no
 *   place is free while somebody waits for it, and nobody can overtake between two turns of the scheduler
 * - among priorities, the one that is furthest below its share of the places goes first; what one does not ask for goes to
 *   the others. Nothing is taken back from a call that runs
 * - within a priority, tenants are served fairly (`fair-queue.ts`)
 * - a claim that would wait too long, or too long for its deadline, is refused at once (`level.ts` says how long it would)
 * - where the queue is full, the claim that would be served last gives way: a lower priority's first, never a higher one's
 */
import { Effect } from "effect"
import type { BulkheadError, DeadlineError } from "../../domain/errors.ts"
import type { BulkheadPolicy } from "../../domain/policy.ts"
import type { BulkheadRequest, BulkheadState } from "../../services/bulkhead.ts"
import type { Timers } from "../../services/timers.ts"
import { Forecast } from "./forecast.ts"
import type { Level } from "./level.ts"
import { Levels, ranks } from "./levels.ts"
import type { Rank } from "./levels.ts"
import type { Limit } from "./limit.ts"
import { Permit } from "./permit.ts"
import { RefusalCap } from "./refusal-cap.ts"
import * as Refusals from "./refusals.ts"
import type { Tenant } from "./tenant.ts"
import { Waiter } from "./waiter.ts"

/**
 * A claim is let in that is expected to wait for this part of the longest wait
 * at most. The rest is for forecasts that were too short, while a limit is
 * being learned above all: who is told no at once can still go elsewhere.
 */
const willing = 0.85

export class Cell {
  private readonly policy: BulkheadPolicy
  private readonly limit: Limit
  private readonly timers: Timers["Service"]
  private readonly chance: () => number
  private readonly levels: Levels
  private readonly forecast = new Forecast()
  private readonly doomed = new RefusalCap()
  private inFlight = 0
  private queued = 0
  private arrivals = 0

  /** `chance` draws from 0 to 1. */
  constructor(policy: BulkheadPolicy, limit: Limit, timers: Timers["Service"], chance: () => number) {
    this.policy = policy
    this.limit = limit
    this.timers = timers
    this.chance = chance
    this.levels = new Levels(policy.shares)
  }

  get state(): BulkheadState {
    return { limit: this.limit.current, inFlight: this.inFlight, queued: this.queued }
  }

  /** A place, if one is free and nobody waits. */
  tryTake(request: BulkheadRequest, now: number): Permit | undefined {
    if (this.queued > 0 || this.inFlight >= this.limit.current) return undefined
    const level = this.levels.at(ranks[request.priority])
    const cost = level.costOf(now, request.tenant, request.tokens)
    const tenant = level.queue.tenant(request.tenant, this.weightOf(request))
    level.queue.charge(tenant, cost)
    this.taken(level)
    return new Permit(this, level, tenant, cost, request.tokens, now, 0)
  }

  /** A place in the queue, or why there is none. For claims for which there is no place. */
  enqueue(
    request: BulkheadRequest,
    requestId: string | undefined,
    now: number
  ): Waiter | BulkheadError | DeadlineError {
    const rank = ranks[request.priority]
    const level = this.levels.at(rank)
    const cost = level.costOf(now, request.tenant, request.tokens)
    const refusal = this.refusal(request, requestId, level, cost, now)
    level.decided(now, request.tenant, refusal !== undefined)
    if (refusal !== undefined) return refusal
    const tenant = level.queue.tenant(request.tenant, this.weightOf(request))
    const waiter = new Waiter(request, requestId, tenant, cost, rank, this.arrivals++, now)
    level.join(waiter, now)
    this.queued++
    waiter.timer = this.timers.make(() => this.expire(waiter))
    waiter.timer.arm(Math.min(request.deadline.atMs, now + this.policy.maxWaitMs))
    return waiter
  }

  /** The waiter will not use its place in the queue, or the one that it was given. */
  abandon(waiter: Waiter): void {
    if (waiter.waiting) this.leave(waiter, this.timers.now())
    else waiter.permit?.unused()
  }

  /** A place was given back, after work (`used`) or without. */
  release({ level, since, tenant }: Permit, used: boolean): void {
    const now = this.timers.now()
    if (used) this.forecast.held(now, Math.max(0, now - since))
    this.inFlight--
    level.inFlight--
    tenant.inFlight--
    if (this.queued > 0) this.fill(now)
    level.queue.rest(tenant, now)
    this.settleIfIdle()
  }

  firstToken(ms: number): void {
    const now = this.timers.now()
    this.forecast.firstToken(now, ms)
    this.limit.firstToken(now, ms, this.inFlight)
    if (this.queued > 0) this.fill(now)
  }

  pace(tokens: number, ms: number): void {
    const now = this.timers.now()
    this.limit.pace(now, tokens, ms, this.inFlight)
    if (this.queued > 0) this.fill(now)
  }

  answered(tokens: number, ms: number): void {
    const now = this.timers.now()
    this.forecast.answered(now, ms)
    this.limit.answered(now, tokens, ms, this.inFlight)
    if (this.queued > 0) this.fill(now)
  }

  dropped(): void {
    const now = this.timers.now()
    this.limit.dropped(now, this.inFlight)
    if (this.queued > 0) this.fill(now)
  }

  /** The true work of a call that was charged `cost` for an `estimate`. */
  settle(level: Level, tenant: Tenant<Waiter>, cost: number, estimate: number, actual: number): void {
    level.settle(this.timers.now(), tenant, cost, estimate, actual)
  }

  private weightOf({ plan }: BulkheadRequest): number {
    return plan === "premium" ? this.policy.premiumWeight : 1
  }

  private taken(level: Level): void {
    this.inFlight++
    level.inFlight++
    this.limit.taken(this.inFlight)
  }

  /** Why a claim may not wait; `undefined` if it may. Makes room for it where the queue is full. */
  private refusal(
    request: BulkheadRequest,
    requestId: string | undefined,
    level: Level,
    cost: number,
    now: number
  ): BulkheadError | DeadlineError | undefined {
    const { maxQueue, maxWaitMs } = this.policy
    if (maxQueue === 0) return this.full(request, requestId, now)
    const beyond = Math.max(0, this.inFlight - this.limit.current)
    const weight = this.weightOf(request)
    const gapMs = this.gapMs(level, now)
    const waitMs = level.waitMs(request.tenant, weight, cost, now, gapMs, beyond)
    if (waitMs > willing * maxWaitMs) return this.full(request, requestId, now)
    if (now + waitMs + this.forecast.needMs(now, request.streamed) > request.deadline.atMs) {
      return Refusals.tooLate(request, requestId)
    }
    const room = this.queued < maxQueue || this.makeRoom(request, weight, now)
    return room ? undefined : this.full(request, requestId, now)
  }

  /** Give free places to those who wait. */
  private fill(now: number): void {
    while (this.queued > 0 && this.inFlight < this.limit.current) {
      const level = this.levels.next(this.limit.current)
      const waiter = level?.queue.next()
      if (level === undefined || waiter === undefined) return
      if (this.hopeless(waiter, now)) this.turnAway(waiter, now, Refusals.tooLate(waiter.request, waiter.requestId))
      else this.grant(level, waiter, now)
    }
  }

  private grant(level: Level, waiter: Waiter, now: number): void {
    waiter.waiting = false
    waiter.timer?.disarm()
    this.queued--
    level.serve(waiter, now)
    level.waited(now, waiter, true)
    this.taken(level)
    this.doomed.decided(now)
    const { cost, request, since, tenant } = waiter
    waiter.permit = new Permit(this, level, tenant, cost, request.tokens, now, Math.max(0, now - since))
    waiter.finish(Effect.succeed(waiter.permit))
  }

  /**
   * Whether a place is wasted on a waiter: its time is over, or will usually be
   * before its answer is there. The latter is a guess: it is never made where
   * no call is in flight that could prove it wrong, nor too often.
   */
  private hopeless({ request }: Waiter, now: number): boolean {
    const left = request.deadline.atMs - now
    if (left <= 0) return true
    return this.inFlight > 0 && left < this.forecast.needMs(now, request.streamed) && this.doomed.refuse(now)
  }

  /** Take a waiter out of the queue. */
  private leave(waiter: Waiter, now: number): void {
    const { queue } = this.levels.at(waiter.rank)
    waiter.waiting = false
    waiter.timer?.disarm()
    this.queued--
    queue.remove(waiter)
    queue.rest(waiter.tenant, now)
    this.settleIfIdle()
  }

  /** End a wait that was let in to end otherwise. */
  private turnAway(waiter: Waiter, now: number, error: BulkheadError | DeadlineError): void {
    this.leave(waiter, now)
    this.levels.at(waiter.rank).waited(now, waiter, false)
    waiter.finish(Effect.fail(error))
  }

  private expire(waiter: Waiter): void {
    if (!waiter.waiting) return
    const now = this.timers.now()
    const { rank, request, requestId, since } = waiter
    const error =
      now >= request.deadline.atMs
        ? Refusals.tooLate(request, requestId)
        : Refusals.timeout(request, requestId, now - since, this.retryAfterMs(rank, now))
    this.turnAway(waiter, now, error)
  }

  /**
   * Make room in a full queue for a claim that starts earlier than somebody
   * else's: of the lowest priority that waits, if it is not above the claim's
   * own, the one that would be served last has to go.
   */
  private makeRoom(request: BulkheadRequest, weight: number, now: number): boolean {
    const own = ranks[request.priority]
    const last = this.levels.last(own)
    if (last === undefined) return false
    const level = this.levels.at(own)
    if (last.rank === own && level.queue.startOf(request.tenant, weight) >= level.queue.last) return false
    this.leave(last, now)
    last.finish(Effect.fail(this.full(last.request, last.requestId, now)))
    return true
  }

  private gapMs(level: Level, now: number): number {
    return this.levels.gapMs(level, now, this.forecast.gapMs(now, Math.min(this.inFlight, this.limit.current)))
  }

  private full(request: BulkheadRequest, requestId: string | undefined, now: number): BulkheadError {
    return Refusals.full(request, requestId, this.retryAfterMs(ranks[request.priority], now))
  }

  /** When the queue of this priority will have drained, with jitter. */
  private retryAfterMs(rank: Rank, now: number): number {
    const level = this.levels.at(rank)
    const gapMs = this.gapMs(level, now)
    const drainMs = gapMs === 0 ? this.policy.maxWaitMs : gapMs * (level.queue.size + 1)
    return Refusals.retryAfterMs(drainMs, this.chance())
  }

  private settleIfIdle(): void {
    if (this.inFlight === 0 && this.queued === 0) this.levels.settleAll()
  }
}
