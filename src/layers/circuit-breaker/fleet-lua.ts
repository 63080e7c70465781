/**
 * What the processes of a fleet tell each other of a breaker, as scripts over
 * one hash: a record for each key, and the revision of all of them.
 *
 * Times are the server's; processes are told how long something still lasts,
 * and never compare clocks. A generation is larger than the one before it and
 * than the server's time at which it began: a Redis that comes back empty does
 * not begin again with small ones, which everybody would take for old.
 */
import type { BreakerTransition } from "../../services/circuit-breaker.ts"
import { script } from "../redis/client.ts"

/** One key's record, as it is sent. */
export interface Shared {
  readonly key: string
  readonly generation: number
  readonly state: "open" | "closed"
  /** How long it is still open, or held closed, in ms; -1 is for ever. */
  readonly forMs: number
  /** How often its open time was doubled. */
  readonly level: number
  /** By hand. */
  readonly manual: boolean
  readonly reason: BreakerTransition["reason"]
  /** The process that changed it. */
  readonly origin: string
  /** Probes answered in this open period by all processes, and the slow ones of them. */
  readonly answered: number
  readonly slow: number
}

/** Begins each script: KEYS[1] is the hash, ARGV[1] the breaker's key. */
const prelude = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local hash, key = KEYS[1], ARGV[1]
local raw = redis.call('HGET', hash, key)
local r = raw and cjson.decode(raw) or {g = 0, s = 'closed', u = 0, l = 0, m = 0, y = 'manual', i = '', a = 0, w = 0, c = {}}
local function shown(k, x)
  local left = x.u < 0 and -1 or math.max(0, x.u - now)
  return cjson.encode({key = k, generation = x.g, state = x.s, forMs = left, level = x.l, manual = x.m == 1,
    reason = x.y, origin = x.i, answered = x.a, slow = x.w})
end
local function keep() redis.call('HSET', hash, key, cjson.encode(r)) end
local function tell(channel)
  local revision = math.max(tonumber(redis.call('HGET', hash, '') or 0) + 1, now)
  redis.call('HSET', hash, '', string.format('%d', revision))
  redis.call('PUBLISH', channel, shown(key, r))
end
`

/**
 * Change a state. It counts where it was made in knowledge of the last one:
 * whatever was concluded from an older state is answered with the newer one.
 * What is done by hand always counts; `restore` brings back a record that the
 * store has lost.
 */
export const change = script(`${prelude}
local base, state, forMs, level = tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local how, reason, origin, channel = ARGV[6], ARGV[7], ARGV[8], ARGV[9]
local over = r.s == 'open' and state == 'open' and r.u >= 0 and r.u <= now
if how == 'restore' then
  if r.g >= base then return {0, shown(key, r)} end
elseif how ~= 'manual' and base < r.g and not over then
  return {0, shown(key, r)}
end
local g = how == 'restore' and base or math.max(r.g + 1, base + 1, now)
local m = (how == 'manual' or reason == 'manual') and 1 or 0
r = {g = g, s = state, u = forMs < 0 and -1 or now + forMs, l = level, m = m, y = reason, i = origin, a = 0, w = 0, c = {}}
keep()
tell(channel)
return {1, shown(key, r)}
`)

/** Ask for the place of a probe: {1} or {0} and the record; a place is free again after its time. */
export const claim = script(`${prelude}
local base, probes, lastsMs, id = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]
if r.g > base then return {0, shown(key, r)} end
if r.g == 0 then r.g = base end
local taken = 0
for other, until_ in pairs(r.c) do
  if until_ <= now then r.c[other] = nil else taken = taken + 1 end
end
if taken + r.a >= probes then return {0, shown(key, r)} end
r.c[id] = now + lastsMs
keep()
return {1, shown(key, r)}
`)

/** Give places back: ARGV[3] on. */
export const giveBack = script(`${prelude}
if r.g ~= tonumber(ARGV[2]) then return end
for i = 3, #ARGV do r.c[ARGV[i]] = nil end
keep()
`)

/** A probe was answered. */
export const answered = script(`${prelude}
local base, id, slow, channel = tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4]), ARGV[5]
if r.g ~= base then return shown(key, r) end
r.c[id] = nil
r.a = r.a + 1
r.w = r.w + slow
keep()
tell(channel)
return shown(key, r)
`)

/** All records, where the revision is another than ARGV[2]: {revision, record...}. */
export const poll = script(`${prelude}
local revision = redis.call('HGET', hash, '') or '0'
local found = {revision}
if revision == ARGV[2] then return found end
local all = redis.call('HGETALL', hash)
for i = 1, #all, 2 do
  if all[i] ~= '' then found[#found + 1] = shown(all[i], cjson.decode(all[i + 1])) end
end
return found
`)
