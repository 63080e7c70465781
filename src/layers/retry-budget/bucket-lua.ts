/**
 * The fleet's bucket of extra calls as a script: one hash with what is in the
 * bucket, and for each process what it has taken out in advance.
 *
 * What is in the bucket and what is taken out are never more than the maximum
 * together. Times are the server's.
 */
import { script } from "../redis/client.ts"

/** What a process takes out in advance is at most this many calls. */
export const mostInAdvance = 5

/**
 * ARGV: id, number of the message, maximum, paid in, held, unused, wanted,
 * whether more may be taken in advance (0, 1), how long it holds (ms).
 * Returns what was given out, and what is left in the bucket (as text).
 *
 * A message that was executed and comes again (its answer was lost) is answered
 * as before. What a process held that is heard of no more goes back.
 */
export const exchange = script(`
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local hash, id, number = KEYS[1], ARGV[1], tonumber(ARGV[2])
local most, paid, has, unused, wanted = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local all = redis.call('HGETALL', hash)
local bucket, out, processes, mine
out, processes = 0, 1
local back = 0
for i = 1, #all, 2 do
  local field, value = all[i], all[i + 1]
  if field == '' then bucket = tonumber(value)
  else
    local held, last, gave, untilMs = string.match(value, '^(%d+) (%d+) (%d+) (%d+)$')
    if field == id then mine = {number = tonumber(last), gave = tonumber(gave)}
    elseif tonumber(untilMs) <= now then
      back = back + tonumber(held)
      redis.call('HDEL', hash, field)
    else
      out = out + tonumber(held)
      processes = processes + 1
    end
  end
end
bucket = (bucket or most) + back
local gives = 0
if mine and mine.number == number then
  gives = mine.gave
else
  bucket = bucket + paid
  -- What it held has gone back already where it was not heard of for too long.
  if mine then bucket = bucket + unused end
  bucket = math.max(0, math.min(bucket, most - out - has))
  gives = math.min(wanted, math.floor(bucket + 1e-9))
  if ARGV[8] == '1' then
    local share = math.min(${mostInAdvance}, math.floor((bucket - gives) / (2 * processes)))
    gives = gives + math.max(0, share - has)
  end
  bucket = math.max(0, bucket - gives)
end
redis.call('HSET', hash, '', string.format('%.6f', bucket),
  id, string.format('%d %d %d %d', has + gives, number, gives, now + tonumber(ARGV[9])))
redis.call('PEXPIRE', hash, 86400000)
return {gives, string.format('%.6f', bucket)}
`)
