/**
 * Two ways in which permits of a fleet are often kept in Redis.
 *
 * - `counter`: INCR before the call and DECR after it. What a killed process held is gone for good
 * - `zset-client-clock`: a sorted set of holders by the time of their last sign of life, by the clocks of the processes
 *   themselves, as npm's redis-semaphore does it; a holder is renewed at 0.8 of the time to live and never looks whether
 *   it still is one
 */
import { Effect } from "effect"
import { RedisClient, script } from "../../../src/layers/redis/client.ts"
import type { Acquire, Permit } from "./permits.ts"
import type { Setup } from "./setup.ts"

const permit: Permit = { fence: 0, local: false, held: () => true, onLost: () => {} }
const failed = (): string => "store"

/** INCR and DECR. */
export const counter = (client: RedisClient["Service"], { limit }: Setup): Acquire => {
  const key = client.key("counter")
  const release = Effect.ignore(client.send("DECR", key))
  const take = Effect.flatMap(Effect.mapError(client.send<number>("INCR", key), failed), (count) =>
    count <= limit ? Effect.succeed(permit) : Effect.andThen(release, Effect.fail("limit"))
  )
  return Effect.acquireRelease(take, () => release)
}

const acquire = script(`
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[1])
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
redis.call('ZADD', KEYS[1], ARGV[3], ARGV[4])
return 1
`)

/** A sorted set by the clients' clocks. */
export const zset = (client: RedisClient["Service"], setup: Setup): Acquire => {
  const { limit, name, skewMs, ttlMs } = setup
  const key = client.key("zset")
  const now = (): number => Date.now() + skewMs
  let ids = 0
  return Effect.acquireRelease(
    Effect.suspend(() => {
      const id = `${name}-${++ids}`
      const take = client.run<number>(acquire, [key], [now() - ttlMs, limit, now(), id])
      return Effect.flatMap(Effect.mapError(take, failed), (taken) =>
        taken === 1 ? Effect.succeed({ ...permit, id }) : Effect.fail("limit")
      )
    }),
    ({ id }) => Effect.ignore(client.send("ZREM", key, id))
  ).pipe(
    Effect.tap(({ id }) =>
      Effect.forkScoped(
        Effect.forever(
          Effect.andThen(
            Effect.sleep(ttlMs * 0.8),
            Effect.ignore(Effect.suspend(() => client.send("ZADD", key, "XX", String(now()), id)))
          )
        )
      )
    )
  )
}
