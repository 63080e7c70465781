/**
 * What Redis does for admission, as scripts: check every limit, lease and cap
 * of a request, then charge all of them, in one step; and give back or settle
 * what was charged, in batches that nobody waits for.
 *
 * Time is the server's alone (`TIME`), in µs; amounts are integers. Keys, all
 * under the deployment's prefix and so in one slot:
 *
 * - `rl:…`: a bucket of a rate limit: the time at which it is full again (GCRA, as in `rate-limiter/memory.ts`)
 * - `l:TENANT`: a tenant's leases, a sorted set of ids by expiry; `fence` counts them
 * - `b:CAP:WINDOW`: a cap's counters: `s`, `t` spent micro-dollars and tokens, `r`, `q` reserved, `v` version, `e` when
 *   they were first set: a reservation is taken off only from the counters that it was added to, not from those that
 *   took their place when Redis had forgotten them
 * - `res:ID`: a reservation; `resx`: all of them by expiry
 * - `ledger`: a stream of entries that wait to be written to the books. It is filled by the same script that changes
 *   `s` and `t`, so that the two cannot disagree
 */
import * as RedisClient from "../redis/client.ts"

/**
 * How long (ms) an id is remembered after its reservation is over: longer than
 * an admission that was sent twice stays on its way. One that was over before
 * it was seen, the rare case, is known to be late.
 */
const overMs = 60_000
const unseenMs = 600_000

/** Shared by the scripts: the time, windows, and what a reservation does to its caps. */
const common = `
local base = ARGV[1]
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local function window(kind)
  local day = math.floor(now / 86400000000)
  if kind == 'day' then return 'd' .. day end
  -- The civil month of a day number (Hinnant, "chrono-compatible low-level date algorithms").
  local z = day + 719468
  local era = math.floor(z / 146097)
  local doe = z - era * 146097
  local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524) - math.floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
  local mp = math.floor((5 * doy + 2) / 153)
  local month = mp < 10 and mp + 3 or mp - 9
  local year = yoe + era * 400 + (month <= 2 and 1 or 0)
  return 'm' .. year .. '-' .. month
end
local function eachCap(caps, f)
  for _, cap in ipairs(cjson.decode(caps)) do f(cap[1], cap[2]) end
end
-- A cap's counters change by what is reserved less and spent more; counters that are gone are set from the books.
local function move(caps, reserved, reservedTokens, spent, tokens)
  eachCap(caps, function(cap, since)
    local e = redis.call('HGET', cap, 'e')
    if not e then return end
    if e == since then
      redis.call('HINCRBY', cap, 'r', 0 - reserved)
      redis.call('HINCRBY', cap, 'q', 0 - reservedTokens)
    end
    redis.call('HINCRBY', cap, 's', spent)
    redis.call('HINCRBY', cap, 't', tokens)
  end)
end
local function book(ledger, id, kind, at, input, output, usd, meta)
  if ledger == '1' then
    redis.call('XADD', base .. 'ledger', '*', 'id', id, 'kind', kind, 'at', string.format('%.0f', at),
      'in', input, 'out', output, 'usd', usd, 'meta', meta)
  end
end
`

/**
 * Admit. After the base, sections in any number and order:
 *
 * - `L`, n, then n of (bucket, cost µs, window µs)
 * - `S`, key, id, limit, ttl µs
 * - `B`, id, micro-dollars, input tokens, output tokens, ttl µs, meta, n, then n of (cap, window kind, most micro-dollars or -1, most tokens or -1)
 *
 * Answers `{1, now, fence, …}` with, for each bucket, when it is full (µs from
 * now), then for each cap its spent and reserved micro-dollars and tokens. Or
 * `{0, section, …}`: `L`, bucket, wait µs · `S`, µs until the first lease
 * expires · `B`, cap, unit (0 money, 1 tokens), used · `U`, cap, window: its
 * counters have to be set first.
 */
export const admit = RedisClient.script(`${common}
local buckets, seats, reservations = {}, {}, {}
local i = 2
local worst, worstWait = 0, 0
while i <= #ARGV do
  local section = ARGV[i]
  if section == 'L' then
    local n = tonumber(ARGV[i + 1])
    i = i + 2
    for k = 1, n do
      local key, cost, span = base .. ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
      i = i + 3
      local full = math.max(tonumber(redis.call('GET', key) or '0'), now) + cost
      local wait = full - now - span
      if wait > worstWait then worst, worstWait = k, wait end
      buckets[#buckets + 1] = { key, full }
    end
  elseif section == 'S' then
    local key, id, limit, ttl = base .. ARGV[i + 1], ARGV[i + 2], tonumber(ARGV[i + 3]), tonumber(ARGV[i + 4])
    i = i + 5
    redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
    if not redis.call('ZSCORE', key, id) and redis.call('ZCARD', key) >= limit then
      local first = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
      return { 0, 'S', tonumber(first[2] or now) - now }
    end
    seats[#seats + 1] = { key, id, ttl }
  else
    local r = { id = ARGV[i + 1], usd = tonumber(ARGV[i + 2]), input = tonumber(ARGV[i + 3]), output = tonumber(ARGV[i + 4]),
      ttl = tonumber(ARGV[i + 5]), meta = ARGV[i + 6], caps = {} }
    local n = tonumber(ARGV[i + 7])
    i = i + 8
    local known = redis.call('EXISTS', base .. 'res:' .. r.id) == 1
    for k = 1, n do
      local name, kind = ARGV[i], window(ARGV[i + 1])
      local key = base .. 'b:' .. name .. ':' .. kind
      local mostUsd, mostTokens = tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3])
      i = i + 4
      local c = redis.call('HMGET', key, 'v', 's', 'r', 't', 'q', 'e')
      if not c[1] then return { 0, 'U', k, kind } end
      local usd, tokens = tonumber(c[2] or 0) + tonumber(c[3] or 0), tonumber(c[4] or 0) + tonumber(c[5] or 0)
      if not known then
        if mostUsd >= 0 and usd + r.usd > mostUsd then return { 0, 'B', k, 0, usd } end
        if mostTokens >= 0 and tokens + r.input + r.output > mostTokens then return { 0, 'B', k, 1, tokens } end
        usd, tokens = usd + r.usd, tokens + r.input + r.output
      end
      r.caps[k] = { key, usd, tokens, c[6] or '' }
    end
    r.known = known
    reservations[#reservations + 1] = r
  end
end
if worst > 0 then return { 0, 'L', worst, worstWait } end
local answer = { 1, now, 0 }
for _, bucket in ipairs(buckets) do
  redis.call('SET', bucket[1], bucket[2], 'PX', math.ceil((bucket[2] - now) / 1000) + 1)
  answer[#answer + 1] = bucket[2] - now
end
for _, seat in ipairs(seats) do
  redis.call('ZADD', seat[1], now + seat[3], seat[2])
  redis.call('PEXPIRE', seat[1], math.ceil(seat[3] / 1000) + 60000)
  answer[3] = redis.call('INCR', base .. 'fence')
end
for _, r in ipairs(reservations) do
  local keys = {}
  for k, cap in ipairs(r.caps) do
    keys[k] = { cap[1], cap[4] }
    if not r.known then
      redis.call('HINCRBY', cap[1], 'r', r.usd)
      redis.call('HINCRBY', cap[1], 'q', r.input + r.output)
    end
    answer[#answer + 1] = cap[2]
    answer[#answer + 1] = cap[3]
  end
  if not r.known then
    redis.call('HSET', base .. 'res:' .. r.id, 'caps', cjson.encode(keys), 'usd', r.usd, 'in', r.input, 'out', r.output,
      'at', math.floor(now / 1000), 'meta', r.meta)
    redis.call('ZADD', base .. 'resx', now + r.ttl, r.id)
  end
end
return answer`)

/**
 * Settle and give back. After the base and whether there are books (`1`, `0`),
 * operations:
 *
 * - `-`, bucket, µs: a charge is taken back · `+`, bucket, µs: more was used, as of now
 * - `S`, key, id: a lease ends
 * - `B`, id, micro-dollars, input, output, meta: a reservation is settled; a second time does nothing
 * - `X`, id: a reservation is given back, and booked as nothing
 * - `A`, id, micro-dollars, input, output, meta: booked without a reservation, once for each id
 */
export const settle = RedisClient.script(`${common}
local books = ARGV[2]
local i = 3
while i <= #ARGV do
  local op = ARGV[i]
  if op == '-' or op == '+' then
    local key, by = base .. ARGV[i + 1], tonumber(ARGV[i + 2])
    i = i + 3
    local full = tonumber(redis.call('GET', key) or '0')
    if op == '+' then full = math.max(full, now) + by else full = full - by end
    if full <= now then redis.call('DEL', key)
    else redis.call('SET', key, full, 'PX', math.ceil((full - now) / 1000) + 1) end
  elseif op == 'S' then
    redis.call('ZREM', base .. ARGV[i + 1], ARGV[i + 2])
    i = i + 3
  elseif op == 'A' then
    local id = ARGV[i + 1]
    if redis.call('SET', base .. 'a:' .. id, '1', 'NX', 'PX', 600000) then
      book(books, id, 'settled', math.floor(now / 1000), ARGV[i + 3], ARGV[i + 4], ARGV[i + 2], ARGV[i + 5])
    end
    i = i + 6
  else
    local id = ARGV[i + 1]
    local key = base .. 'res:' .. id
    local r = redis.call('HMGET', key, 'caps', 'usd', 'in', 'out', 'at', 'swept')
    local usd, input, output, meta = 0, 0, 0, ''
    if op == 'B' then
      usd, input, output, meta = tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3]), tonumber(ARGV[i + 4]), ARGV[i + 5]
      i = i + 6
    else
      i = i + 2
    end
    -- An admission of this id may still be on its way: it finds the id taken, and charges nothing.
    redis.call('DEL', key)
    redis.call('HSET', key, 'over', '1')
    redis.call('PEXPIRE', key, r[1] and ${overMs} or ${unseenMs})
    if r[1] then
      local heldUsd, heldIn, heldOut, at = tonumber(r[2]), tonumber(r[3]), tonumber(r[4]), tonumber(r[5])
      redis.call('ZREM', base .. 'resx', id)
      if r[6] then
        move(r[1], 0, 0, usd - heldUsd, input + output - heldIn - heldOut)
        book(books, id, 'corrected', at, input - heldIn, output - heldOut, usd - heldUsd, op == 'B' and meta or r[6])
      else
        move(r[1], heldUsd, heldIn + heldOut, usd, input + output)
        if op == 'B' then book(books, id, 'settled', at, input, output, usd, meta) end
      end
    end
  end
end
return 1`)

/**
 * Set aside more for a reservation. After the base: id, total micro-dollars,
 * total input and output tokens that it is to hold, ttl µs, then caps as in
 * {@link admit}. 1: it holds them; 0: a cap is in the way; -1: there is no such
 * reservation any more. Idempotent, for it names the total.
 */
export const extend = RedisClient.script(`${common}
local id = ARGV[2]
local key = base .. 'res:' .. id
local r = redis.call('HMGET', key, 'caps', 'usd', 'in', 'out', 'swept')
if not r[1] or r[5] then return -1 end
local usd, tokens = tonumber(ARGV[3]) - tonumber(r[2]), tonumber(ARGV[4]) + tonumber(ARGV[5]) - tonumber(r[3]) - tonumber(r[4])
if usd <= 0 and tokens <= 0 then return 1 end
local n, i = 0, 7
local ok = true
eachCap(r[1], function(cap, since)
  local mostUsd, mostTokens = tonumber(ARGV[i]), tonumber(ARGV[i + 1])
  i = i + 2
  local c = redis.call('HMGET', cap, 's', 'r', 't', 'q', 'e')
  if c[5] ~= since then ok = false end
  if mostUsd >= 0 and tonumber(c[1] or 0) + tonumber(c[2] or 0) + usd > mostUsd then ok = false end
  if mostTokens >= 0 and tonumber(c[3] or 0) + tonumber(c[4] or 0) + tokens > mostTokens then ok = false end
end)
if not ok then return 0 end
eachCap(r[1], function(cap)
  redis.call('HINCRBY', cap, 'r', usd)
  redis.call('HINCRBY', cap, 'q', tokens)
end)
redis.call('HSET', key, 'usd', ARGV[3], 'in', ARGV[4], 'out', ARGV[5])
redis.call('ZADD', base .. 'resx', now + tonumber(ARGV[6]), id)
return 1`)

/**
 * Book expired reservations as spent, as estimated. After the base: books, most
 * of them at once, how long (ms) their holders may still come back. Answers
 * how many, and the length of the ledger's stream.
 */
export const sweep = RedisClient.script(`${common}
local books, most, grace = ARGV[2], ARGV[3], ARGV[4]
local ids = redis.call('ZRANGEBYSCORE', base .. 'resx', '-inf', now, 'LIMIT', 0, most)
for _, id in ipairs(ids) do
  local key = base .. 'res:' .. id
  local r = redis.call('HMGET', key, 'caps', 'usd', 'in', 'out', 'at', 'meta')
  redis.call('ZREM', base .. 'resx', id)
  if r[1] then
    local held = tonumber(r[3]) + tonumber(r[4])
    move(r[1], tonumber(r[2]), held, tonumber(r[2]), held)
    book(books, id, 'expired', tonumber(r[5]), r[3], r[4], r[2], r[6])
    redis.call('HSET', key, 'swept', r[6])
    redis.call('PEXPIRE', key, grace)
  end
end
return { #ids, redis.call('XLEN', base .. 'ledger') }`)

/**
 * Set a window's spent counters, as one versioned write. After the base: cap,
 * window, micro-dollars, tokens, the version it replaces (0: only where there
 * is none), ms to live, and the spent micro-dollars that it replaces (empty:
 * whatever they are; else nothing may wait to be written to the books either).
 * 1 where it was so, else 0.
 */
export const seed = RedisClient.script(`${common}
local key = base .. 'b:' .. ARGV[2] .. ':' .. ARGV[3]
local version = tonumber(redis.call('HGET', key, 'v') or 0)
if version ~= tonumber(ARGV[6]) then return 0 end
if ARGV[8] ~= '' and (redis.call('HGET', key, 's') or '0') ~= ARGV[8] then return 0 end
if ARGV[8] ~= '' and redis.call('XLEN', base .. 'ledger') > 0 then return 0 end
redis.call('HSET', key, 'v', version + 1, 's', ARGV[4], 't', ARGV[5])
if version == 0 then redis.call('HSET', key, 'e', string.format('%.0f', now)) end
redis.call('PEXPIRE', key, ARGV[7])
return 1`)

/** Windows and counters of caps. After the base: n of (cap, window kind). For each: window, version, s, r, t, q. */
export const look = RedisClient.script(`${common}
local answer = { math.floor(now / 1000) }
for i = 2, #ARGV, 2 do
  local kind = window(ARGV[i + 1])
  local c = redis.call('HMGET', base .. 'b:' .. ARGV[i] .. ':' .. kind, 'v', 's', 'r', 't', 'q')
  answer[#answer + 1] = kind
  for k = 1, 5 do answer[#answer + 1] = tonumber(c[k] or 0) end
end
return answer`)

/**
 * Renew leases and say that a process lives. After the base: the process, how
 * long (µs) it is believed to live without another word, ttl µs of the leases,
 * then (key, id) of each. Answers how many processes live, then the ids that
 * have expired.
 */
export const renew = RedisClient.script(`${common}
local fleet = base .. 'fleet'
redis.call('ZREMRANGEBYSCORE', fleet, '-inf', now)
redis.call('ZADD', fleet, now + tonumber(ARGV[3]), ARGV[2])
redis.call('PEXPIRE', fleet, 60000)
local answer = { redis.call('ZCARD', fleet) }
local ttl = tonumber(ARGV[4])
for i = 5, #ARGV, 3 do
  local key, id, limit = base .. ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2])
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
  if redis.call('ZSCORE', key, id) or redis.call('ZCARD', key) < limit then
    redis.call('ZADD', key, now + ttl, id)
    redis.call('PEXPIRE', key, math.ceil(ttl / 1000) + 60000)
  else
    answer[#answer + 1] = id
  end
end
return answer`)
