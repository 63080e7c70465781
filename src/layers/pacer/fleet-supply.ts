/**
 * The room of a limit that the whole fleet shares: a bucket in Redis by the
 * server's clock (GCRA, in microseconds), from which each process takes some
 * room at a time, and gives back what it has not used after a while.
 *
 * A call takes from what is here in one synchronous step, and a further script
 * brings more in the background; it waits for a script only where nothing is
 * left. While Redis is away, this process keeps to its part of the limit.
 */
import type { LimitUnit } from "../../domain/errors.ts"
import type { Timer, Timers } from "../../services/timers.ts"
import { script } from "../redis/client.ts"
import type { RedisClient } from "../redis/client.ts"
import { Local } from "./supply.ts"
import type { Rates, Supply, Wait } from "./supply.ts"

/**
 * KEYS: bucket. ARGV: µs a request and a token take to refill (0: no limit),
 * µs that may be saved up, requests wanted and needed, tokens wanted and
 * needed. Either all that is needed is given, and as much more of what is
 * wanted as there is, or nothing. Gives: requests, tokens, ms until what is
 * needed may be there, ms that the provider's pause lasts, and whether it is
 * tokens that are short (1).
 *
 * `r` and `t` are the times (µs) at which the buckets will be full again, `p`
 * that at which the pause is over.
 */
const lease = script(`
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local had = redis.call('HMGET', KEYS[1], 'r', 't', 'p')
local burst = tonumber(ARGV[3])
local pause = (tonumber(had[3]) or 0) - now
if pause > 0 then return {0, 0, math.ceil(pause / 1000), math.ceil(pause / 1000), 0} end
local function look(field, unit, wanted, needed)
  if unit == 0 then return 0, wanted, 0 end
  local full = math.max(now, tonumber(field) or 0)
  -- More than the bucket holds may leave when it is full.
  local short = math.min(needed * unit, burst) - (burst - (full - now))
  if short > 0 then return full, 0, short end
  local there = math.floor((burst - (full - now)) / unit)
  local given = math.max(needed, math.min(wanted, there))
  return math.floor(full + given * unit), given, 0
end
local ru, tu = tonumber(ARGV[1]), tonumber(ARGV[2])
local r, gr, wr = look(had[1], ru, tonumber(ARGV[4]), tonumber(ARGV[5]))
local t, gt, wt = look(had[2], tu, tonumber(ARGV[6]), tonumber(ARGV[7]))
local wait = math.max(wr, wt)
if wait > 0 then return {0, 0, math.ceil(wait / 1000), 0, wt > wr and 1 or 0} end
redis.call('HSET', KEYS[1], 'r', string.format('%.0f', r), 't', string.format('%.0f', t))
redis.call('PEXPIRE', KEYS[1], math.ceil((math.max(r, t, now) - now) / 1000) + 120000)
return {gr, gt, 0, 0, 0}
`)

/** KEYS: bucket. ARGV: the first two of above, requests and tokens that were not used; less than nothing takes more. */
const restore = script(`
local had = redis.call('HMGET', KEYS[1], 'r', 't')
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local function back(name, field, unit, units)
  if unit == 0 or units == 0 then return end
  local full = math.max(now, tonumber(field) or 0)
  redis.call('HSET', KEYS[1], name, string.format('%.0f', math.max(0, full - units * unit)))
end
back('r', had[1], tonumber(ARGV[1]), tonumber(ARGV[3]))
back('t', had[2], tonumber(ARGV[2]), tonumber(ARGV[4]))
redis.call('PEXPIRE', KEYS[1], 240000)
return 1
`)

/**
 * KEYS: bucket. ARGV: the first three of `lease`, ms of the pause that the
 * provider asked for, the channel, what to say there. After the pause there is
 * room for one request.
 */
const hold = script(`
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local had = redis.call('HMGET', KEYS[1], 'r', 't', 'p')
local ru, tu, burst, pause = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]) * 1000
local function empty(name, field, unit, left)
  if unit == 0 then return end
  local full = math.max(tonumber(field) or 0, now + pause + burst - left * unit)
  redis.call('HSET', KEYS[1], name, string.format('%.0f', full))
end
empty('r', had[1], ru, 1)
empty('t', had[2], tu, 0)
if pause > 0 then
  redis.call('HSET', KEYS[1], 'p', string.format('%.0f', math.max(tonumber(had[3]) or 0, now + pause)))
  redis.call('PUBLISH', ARGV[5], ARGV[6])
end
redis.call('PEXPIRE', KEYS[1], math.ceil((pause + burst) / 1000) + 120000)
return 1
`)

/** A process takes so much of the limit at a time (ms of its refill), and gives back what it has not used for so long (ms). */
const leaseMs = 100
const idleMs = 1_000
/** While a script is under way, nobody knows how long it will take; its answer wakes those who wait. */
const pollMs = 20
/** After a script that failed, this process keeps to its own part for so long (ms). */
const aloneMs = 1_000
/** Most that one process alone may save up (ms). */
const aloneBurstMs = 6_000

/** What a fleet's supply is made of. */
export interface FleetOptions {
  readonly client: RedisClient["Service"]
  readonly timers: Timers["Service"]
  readonly key: string
  /** Where pauses are told. */
  readonly channel: string
  /** Part of the limit that this process keeps to while Redis is away. */
  readonly alone: number
  readonly changed: (pauseMs: number) => void
}

/** How long (ms) what is short of a need takes to come. */
const short = (perMs: number | undefined, need: number, there: number): number =>
  perMs === undefined ? 0 : Math.max(0, need - there) / perMs

/** µs for one. */
const us = (perMs: number | undefined): number => (perMs === undefined ? 0 : 1_000 / perMs)

export class FleetSupply implements Supply {
  private readonly options: FleetOptions
  private readonly rates: Rates
  private readonly local: Local
  private readonly bucket: string
  private readonly idle: Timer
  private requests = 0
  private tokens = 0
  private asking = false
  /** When it is worth asking again, and until when this process is on its own (epoch ms). */
  private nextAt = 0
  private scarce: LimitUnit = "requests"
  private aloneUntil = 0

  constructor(rates: Rates, now: number, options: FleetOptions) {
    this.options = options
    this.rates = rates
    const part = (rate: number | undefined) => (rate === undefined ? undefined : rate * options.alone)
    const burstMs = Math.min(rates.burstMs, aloneBurstMs)
    this.local = new Local({ requests: part(rates.requests), tokens: part(rates.tokens), burstMs }, now)
    this.bucket = options.client.key(`pace:${options.key}`)
    this.idle = options.timers.make(() => this.giveBack())
  }

  take(now: number, tokens: number): boolean {
    if (this.isAlone(now)) return this.local.take(now, tokens)
    const { requests: perMs, tokens: tokensPerMs } = this.rates
    const enough = (perMs === undefined || this.requests >= 1) && (tokensPerMs === undefined || this.tokens >= tokens)
    if (enough) this.give(now, -1, -tokens)
    const low = (perMs !== undefined && this.requests < 1) || (tokensPerMs !== undefined && this.tokens < tokens)
    if (!enough || low) this.ask(now, enough ? 0 : tokens, !enough)
    return enough
  }

  wait(now: number, tokens: number, aheadRequests: number, aheadTokens: number): Wait {
    if (this.isAlone(now)) return this.local.wait(now, tokens, aheadRequests, aheadTokens)
    const { requests, tokens: tokensPerMs } = this.rates
    // As if nobody else asked: to wait in vain is better than to be refused for nothing.
    const forRequests = short(requests, aheadRequests, Math.max(0, this.requests - 1))
    const forTokens = short(tokensPerMs, aheadTokens, Math.max(0, this.tokens - tokens))
    const asked = this.asking ? pollMs : Math.max(0, this.nextAt - now)
    const most = Math.max(forRequests, forTokens)
    if (asked > most) return { ms: asked, unit: this.scarce }
    return { ms: most, unit: forTokens > forRequests ? "tokens" : "requests" }
  }

  give(now: number, requests: number, tokens: number): void {
    if (this.isAlone(now)) {
      this.local.give(now, requests, tokens)
      return
    }
    if (this.rates.requests !== undefined) this.requests += requests
    if (this.rates.tokens !== undefined) this.tokens += tokens
    this.idle.arm(now + idleMs)
  }

  costMs(tokens: number): number {
    return this.local.costMs(tokens)
  }

  limited(now: number, pauseMs: number): void {
    this.requests = Math.min(0, this.requests)
    this.tokens = Math.min(0, this.tokens)
    this.local.limited(now, pauseMs)
    const { channel, client, key } = this.options
    const message = JSON.stringify({ key, pauseMs: Math.ceil(pauseMs) })
    client.runUnsafe(hold, [this.bucket], [...this.limit, Math.ceil(pauseMs), channel, message], () => {})
  }

  /** Another process was told to wait. */
  paused(now: number, pauseMs: number): void {
    this.requests = Math.min(0, this.requests)
    this.tokens = Math.min(0, this.tokens)
    this.nextAt = Math.max(this.nextAt, now + pauseMs)
    this.options.changed(pauseMs)
  }

  level(unit: LimitUnit, now: number): number | undefined {
    if (this.isAlone(now)) return this.local.level(unit, now)
    return this.rates[unit] === undefined ? undefined : this[unit]
  }

  private get limit(): ReadonlyArray<number> {
    const { burstMs, requests, tokens } = this.rates
    // A bucket that holds less than one request would never let one leave.
    return [us(requests), us(tokens), Math.ceil(Math.max(burstMs * 1_000, us(requests)))]
  }

  private isAlone(now: number): boolean {
    return now < this.aloneUntil || !this.options.client.usable()
  }

  /** Ask for more room: at least for one call of `tokens`, where it is `urgent`. */
  private ask(now: number, tokens: number, urgent: boolean): void {
    if (this.asking || now < this.nextAt) return
    this.asking = true
    const { client, timers } = this.options
    const { requests: perMs = 0, tokens: tokensPerMs = 0 } = this.rates
    const need = (units: number, there: number) => (urgent ? Math.max(0, Math.ceil(units - there)) : 0)
    const needRequests = perMs === 0 ? 0 : need(1, this.requests)
    const needTokens = tokensPerMs === 0 ? 0 : need(tokens, this.tokens)
    const wanted = [
      Math.max(needRequests, Math.ceil(perMs * leaseMs)),
      needRequests,
      Math.max(needTokens, Math.ceil(tokensPerMs * leaseMs)),
      needTokens
    ]
    client.runUnsafe(lease, [this.bucket], [...this.limit, ...wanted], (error, reply) => {
      this.asking = false
      const at = timers.now()
      if (error !== undefined) {
        this.nextAt = 0
        this.aloneUntil = at + aloneMs
        this.options.changed(0)
        return
      }
      // Five numbers, as the script says.
      const [requests = 0, tokenCount = 0, waitMs = 0, pauseMs = 0, ofTokens = 0] = reply as ReadonlyArray<number>
      if (perMs > 0) this.requests += requests
      if (tokensPerMs > 0) this.tokens += tokenCount
      this.nextAt = at + waitMs
      this.scarce = ofTokens === 1 ? "tokens" : "requests"
      this.idle.arm(at + idleMs)
      this.options.changed(pauseMs)
    })
  }

  /** What is left here is of use to others; what is owed is owed by all. */
  private giveBack(): void {
    const { client } = this.options
    const { requests, tokens } = this
    if ((requests === 0 && tokens === 0) || !client.usable()) return
    this.requests = 0
    this.tokens = 0
    client.runUnsafe(restore, [this.bucket], [...this.limit.slice(0, 2), requests, tokens], () => {})
  }
}
