/**
 * Faults on the way between a process and Redis that hit single calls: what the client is told is that no answer came
 * in time, and half of them have been executed all the same. So every answer may be one of three, and what is asked
 * again may be done twice. (The proxy of `bench/support/fault-proxy.ts` holds up a connection, and so all that follows.)
 */
import { Effect, Layer } from "effect"
import { RedisClient } from "../../../src/layers/redis/client.ts"
import * as Errors from "../../../src/layers/redis/errors.ts"
import { StoreHealth } from "../../../src/services/store-health.ts"
import type { Draw } from "../s9/draw.ts"

/** Scripts that have been sent to Redis, and how many of them were not answered in time, whatever the reason. */
export interface Counts {
  calls: number
  timedOut: number
}

/** The same client with faults: each script times out with the chance `share`, by `draw`. */
export const layer = (
  share: number,
  draw: Draw,
  counts: Counts
): Layer.Layer<RedisClient, never, RedisClient | StoreHealth> =>
  Layer.effect(
    RedisClient,
    Effect.gen(function* () {
      const client = yield* RedisClient
      const health = yield* StoreHealth
      const runUnsafe: typeof client.runUnsafe = (script, keys, args, done, other) => {
        counts.calls++
        const told: typeof done = (error, value) => {
          if (error?.reason._tag === "Timeout") counts.timedOut++
          done(error, value)
        }
        if (draw.unit() >= share) return client.runUnsafe(script, keys, args, told, other)
        // Executed, and the answer is lost; or lost on the way.
        if (draw.unit() < 0.5) client.runUnsafe(script, keys, args, () => {}, other)
        setTimeout(() => {
          health.failed("redis", "Timeout")
          told(Errors.timedOut(client.timeoutMs), undefined)
        }, client.timeoutMs)
      }
      return RedisClient.of({
        ...client,
        runUnsafe,
        run: (script, keys, args) =>
          Effect.callback((resume) =>
            runUnsafe(script, keys, args, (error, value) =>
              // What a script returns is known to whoever wrote it.
              resume(error === undefined ? Effect.succeed(value as never) : Effect.fail(error))
            )
          )
      })
    })
  )
