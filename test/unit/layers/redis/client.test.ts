import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Layer, Queue, Redacted } from "effect"
import type { RedisConfig } from "../../../../src/domain/config.ts"
import * as RedisClient from "../../../../src/layers/redis/client.ts"
import * as StoreHealth from "../../../../src/layers/store-health/memory.ts"
import * as Wheel from "../../../../src/layers/timers/wheel.ts"
import { available, redis, startRedis } from "../../../support/redis.ts"

const configOf = (url: string, prefix: string, more: Partial<RedisConfig> = {}): RedisConfig => ({
  url: Redacted.make(url),
  cluster: false,
  prefix,
  timeoutMs: 200,
  safety: 0.8,
  ...more
})

const open = (config: RedisConfig) =>
  Effect.map(
    Layer.build(RedisClient.layer(config).pipe(Layer.provide(StoreHealth.layer), Layer.provide(Wheel.layer))),
    (context) => RedisClient.RedisClient.pipe(Effect.provideContext(context))
  ).pipe(Effect.flatten)

const echo = RedisClient.script("return {ARGV[1], KEYS[1]}")
const broken = RedisClient.script("return redis.call('INCR', KEYS[1], 'secret')")

describe.skipIf(!available)("the Redis client", () => {
  it.live("sends commands and scripts, and loads a script where the server does not know it", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { prefix, url } = yield* redis
        const client = yield* open(configOf(url, prefix))
        assert.strictEqual(yield* client.send("PING"), "PONG")
        const mine = RedisClient.script(`return {ARGV[1], KEYS[1]} -- ${prefix}`)
        assert.deepStrictEqual(yield* client.run(mine, [client.key("a")], [7]), ["7", `{${prefix}}:a`])
        assert.deepStrictEqual(yield* client.run(mine, [client.key("a")], [8]), ["8", `{${prefix}}:a`])
      })
    )
  )

  it.live("types what a script does wrong, without what was sent", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { prefix, url } = yield* redis
        const client = yield* open(configOf(url, prefix))
        const error = yield* Effect.flip(client.run(broken, [client.key("a")], []))
        assert.strictEqual(error.reason._tag, "Script")
        assert.notInclude(error.message, "secret")
        // A wrong question says nothing about the store.
        assert.isTrue(client.usable())
      })
    )
  )

  it.live("a Redis that hangs costs its time and no more, then nothing, and is used again once it answers", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const server = yield* startRedis
        const client = yield* open(configOf(server.url, "t", { timeoutMs: 30 }))
        yield* client.send("PING")
        yield* server.pause
        const errors = yield* Effect.forEach([1, 2, 3], () => Effect.flip(client.run(echo, [client.key("a")], [1])))
        assert.deepStrictEqual(
          errors.map(({ reason }) => reason._tag),
          ["Timeout", "Timeout", "Timeout"]
        )
        assert.isFalse(client.usable() && client.usable())
        yield* server.resume
        yield* Effect.retry(client.send("PING"), { times: 200 })
      })
    )
  )

  it.live("a Redis that is gone fails at once; back again it is found without help", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const server = yield* startRedis
        const client = yield* open(configOf(server.url, "t", { timeoutMs: 30 }))
        const back = yield* Deferred.make<void>()
        yield* server.kill
        assert.oneOf((yield* Effect.flip(client.send("PING"))).reason._tag, ["Unavailable", "Timeout"])
        client.onConnected(() => Deferred.doneUnsafe(back, Effect.void))
        yield* server.restart
        yield* Deferred.await(back)
        assert.strictEqual(yield* client.send("PING"), "PONG")
      })
    )
  )

  it.live("hears what is said on a channel", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { prefix, url } = yield* redis
        const client = yield* open(configOf(url, prefix))
        const heard = yield* Queue.unbounded<string>()
        yield* RedisClient.listen(client, client.key("c"), (message) => void Queue.offerUnsafe(heard, message))
        yield* client.send("PUBLISH", client.key("c"), "hello")
        assert.strictEqual(yield* Queue.take(heard), "hello")
      })
    )
  )
})
