import { describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Queue } from "effect"
import * as KillSwitchRedis from "../../../../src/layers/kill-switch/redis.ts"
import { RedisClient } from "../../../../src/layers/redis/client.ts"
import type { KillSwitch, Switch } from "../../../../src/services/kill-switch.ts"
import { eventually } from "../../../conformance/circuit-breaker-fleet.ts"
import { suite } from "../../../conformance/kill-switch.ts"
import * as Client from "../../../support/redis-client.ts"
import { available, breakable, redis, startRedis } from "../../../support/redis.ts"

const request = { tenant: "acme", feature: "chat", model: "small" }

/** A process of the fleet that has this Redis. */
const startOn = (url: string, prefix: string, initial: ReadonlyArray<Switch> = [], deaf = false) =>
  Effect.gen(function* () {
    const client = Context.get(yield* Layer.build(Client.layerOf(Client.configOf(url, prefix, 300))), RedisClient)
    const used = deaf
      ? RedisClient.of({ ...client, redis: { ...client.redis, subscribe: () => Queue.unbounded() } })
      : client
    return yield* Effect.provideService(KillSwitchRedis.make(initial), RedisClient, used)
  })

const becomes = (switches: KillSwitch["Service"], off: boolean, ms = 1_000) =>
  eventually(
    off ? "it is off" : "it is on",
    // A check looks when it is made, not when it is run.
    Effect.suspend(() => Effect.map(Effect.isSuccess(switches.check(request)), (passes) => passes !== off)),
    ms
  )

describe.skipIf(!available)("kill switches over Redis", () => {
  suite("Redis", (initial) => KillSwitchRedis.layer(initial).pipe(Layer.provide(Client.layer)))

  for (const deaf of [false, true]) {
    it.live(`a switch reaches every process within a second${deaf ? ", though its message is lost" : ""}`, () =>
      Effect.gen(function* () {
        const { prefix, url } = yield* redis
        const start = startOn(url, prefix, [], deaf)
        const [one, two] = [yield* start, yield* start]
        for (let i = 0; i < 2; i++) {
          yield* one.off("tenant", "acme", "incident 12")
          yield* becomes(two, true)
          yield* becomes(yield* start, true, 100)
          yield* two.on("tenant", "acme")
          yield* becomes(one, false)
        }
      })
    )
  }

  it.live("one that is off by the configuration is turned on for all, and for those that start later", () =>
    Effect.gen(function* () {
      const { prefix, url } = yield* redis
      const start = startOn(url, prefix, [{ kind: "model", target: "small", note: undefined }])
      const [one, two] = [yield* start, yield* start]
      yield* becomes(two, true)
      yield* one.on("model", "small")
      yield* becomes(two, false)
      yield* becomes(yield* start, false, 100)
    })
  )
})

describe.skipIf(!breakable)("kill switches whose Redis goes away", () => {
  it.live(
    "a switch works here at once, and everywhere once it is back, empty or not",
    () =>
      Effect.gen(function* () {
        const server = yield* startRedis
        const start = startOn(server.url, "fleet")
        const [one, two] = [yield* start, yield* start]
        yield* server.pause
        yield* one.off("all", "")
        yield* becomes(one, true, 100)
        yield* server.resume
        yield* becomes(two, true, 5_000)
        yield* server.kill
        yield* server.restart
        yield* eventually(
          "one that starts now has it off",
          Effect.scoped(
            Effect.flatMap(start, (late) => Effect.map(Effect.isSuccess(late.check(request)), (on) => !on))
          ),
          10_000
        )
      }),
    20_000
  )
})
