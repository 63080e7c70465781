/**
 * What happens to a key in Redis, each step one script. A key is a hash: `f`
 * the request's fingerprint, `n` whose run it is (its fence), `a` the answer
 * once there is one. It lives by the server's clock alone, so no process's
 * clock matters, and by nothing else: a mark that is not renewed is gone.
 */
import { script } from "../redis/client.ts"

/**
 * Take a key, or take it again (the same fence: a renewal, or a repetition
 * whose first answer was lost). ARGV: fingerprint, fence, life of the mark (ms).
 * Returns `{"run"}`, `{"running", ms left}`, `{"other"}` or `{"answered", answer}`.
 */
export const begin = script(`
local f, n, a = unpack(redis.call('HMGET', KEYS[1], 'f', 'n', 'a'))
if not f then
  redis.call('HSET', KEYS[1], 'f', ARGV[1], 'n', ARGV[2])
elseif f ~= ARGV[1] then
  return {'other'}
elseif a then
  return {'answered', a}
elseif n ~= ARGV[2] then
  return {'running', redis.call('PTTL', KEYS[1])}
end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return {'run'}
`)

/**
 * Keep an answer, unless another run has the key by now. ARGV: fingerprint,
 * fence, answer, its life (ms). Returns whether it is kept.
 */
export const complete = script(`
local n = redis.call('HGET', KEYS[1], 'n')
if n and n ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], 'f', ARGV[1], 'n', ARGV[2], 'a', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1
`)

/** Free a key that its run has not answered. ARGV: fence. */
export const release = script(`
local n, a = unpack(redis.call('HMGET', KEYS[1], 'n', 'a'))
if n ~= ARGV[1] or a then return 0 end
return redis.call('DEL', KEYS[1])
`)
