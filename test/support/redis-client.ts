/** A client of the shared Redis for tests of what is built on it. */
import { Effect, Layer, Redacted } from "effect"
import { TestClock } from "effect/testing"
import type { RedisConfig } from "../../src/domain/config.ts"
import * as RedisClient from "../../src/layers/redis/client.ts"
import * as StoreHealthMemory from "../../src/layers/store-health/memory.ts"
import * as Wheel from "../../src/layers/timers/wheel.ts"
import type { StoreHealth } from "../../src/services/store-health.ts"
import * as Redis from "./redis.ts"

/** The settings of a client. */
export const configOf = (url: string, prefix: string, timeoutMs = 1_000): RedisConfig => ({
  url: Redacted.make(url),
  cluster: false,
  prefix,
  timeoutMs,
  safety: 0.8
})

/** A client with its health and timers: of one process of a fleet. */
export const layerOf = (config: RedisConfig): Layer.Layer<RedisClient.RedisClient | StoreHealth> =>
  Layer.fresh(RedisClient.layer(config).pipe(Layer.provideMerge(StoreHealthMemory.layer), Layer.provide(Wheel.layer)))

/** The same with a prefix of its own, whose times are real ones under `TestClock` too: Redis does not wait for that. */
export const layer: Layer.Layer<RedisClient.RedisClient | StoreHealth> = Layer.effectContext(
  Effect.gen(function* () {
    const { prefix, url } = yield* Redis.redis
    return yield* TestClock.withLive(Layer.build(layerOf(configOf(url, prefix))))
  })
)
