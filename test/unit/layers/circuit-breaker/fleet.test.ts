import { assert, describe, it } from "@effect/vitest"
import { Clock, Context, Effect, Exit, Layer, Queue, Scope } from "effect"
import * as CircuitBreakerRedis from "../../../../src/layers/circuit-breaker/redis.ts"
import { RedisClient } from "../../../../src/layers/redis/client.ts"
import type { BreakerPolicy } from "../../../../src/domain/policy.ts"
import {
  becomes,
  calls,
  eventually,
  failing,
  good,
  hold,
  key,
  policy,
  suite
} from "../../../conformance/circuit-breaker-fleet.ts"
import type { Start } from "../../../conformance/circuit-breaker-fleet.ts"
import { configOf, layerOf } from "../../../support/redis-client.ts"
import { available, breakable, redis, startRedis } from "../../../support/redis.ts"

/** The live clock, wrong by so much. */
const skewed = (ms: number) =>
  Effect.map(Clock.Clock, (clock): Clock.Clock => ({
    ...clock,
    currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe() + ms,
    currentTimeMillis: Effect.map(clock.currentTimeMillis, (now) => now + ms),
    sleep: (duration) => clock.sleep(duration)
  }))

/** A process of the fleet that has this Redis. `change` is done to its client. */
const startOn =
  (
    url: string,
    prefix: string,
    values: BreakerPolicy,
    pools?: ReadonlyArray<ReadonlyArray<string>>,
    change: (client: RedisClient["Service"]) => RedisClient["Service"] = (client) => client
  ): Start =>
  (skewMs = 0) =>
    Effect.gen(function* () {
      const clock = yield* skewed(skewMs)
      const stores = yield* Layer.build(layerOf(configOf(url, prefix, 300)))
      const client = change(Context.get(stores, RedisClient))
      return yield* CircuitBreakerRedis.make(values, { pools })
        .pipe(Effect.provideService(RedisClient, client))
        .pipe(Effect.provideService(Clock.Clock, clock))
    })

const deaf = (client: RedisClient["Service"]): RedisClient["Service"] =>
  RedisClient.of({ ...client, redis: { ...client.redis, subscribe: () => Queue.unbounded() } })

describe.skipIf(!available)("circuit breakers of a fleet over Redis", () => {
  suite("Redis", (values, pools) => Effect.map(redis, ({ prefix, url }) => startOn(url, prefix, values, pools)))

  it.live("a lost message is made good within a second", () =>
    Effect.gen(function* () {
      const { prefix, url } = yield* redis
      const start = startOn(url, prefix, { ...policy, openMs: 1_500 }, undefined, deaf)
      const [one, two, three] = [yield* start(), yield* start(), yield* start()]
      yield* calls(one, 10, failing)
      yield* becomes(two, "open")
      for (const breaker of [one, two, three]) yield* becomes(breaker, "half-open", 4_000)
      yield* calls(one, 1, good)
      yield* calls(two, 1, good)
      yield* calls(three, 1, good)
      for (const breaker of [one, two, three]) yield* becomes(breaker, "closed")
      yield* one.trip(key, 60_000)
      yield* becomes(two, "open")
    })
  )

  it.live("a call to a closed breaker, or to an open one, asks Redis nothing", () =>
    Effect.gen(function* () {
      const { prefix, url } = yield* redis
      let asked = 0
      const counted = (client: RedisClient["Service"]) =>
        RedisClient.of({
          ...client,
          runUnsafe: (script, keys, args, done) => {
            if (args[0] !== "") asked++
            client.runUnsafe(script, keys, args, done)
          }
        })
      const breaker = yield* startOn(url, prefix, policy, undefined, counted)()
      const enter = breaker.acquireUnsafe(key)
      assert.strictEqual(breaker.acquireUnsafe(key), enter)
      assert.isTrue(Exit.isExit(enter((effect) => effect, undefined)))
      yield* calls(breaker, 100, good)
      assert.strictEqual(asked, 0)
      yield* breaker.trip(key, 60_000)
      assert.strictEqual(asked, 1)
      for (let i = 0; i < 100; i++) assert.isTrue(Exit.isFailure(yield* Effect.exit(Effect.scoped(hold(breaker)))))
      assert.strictEqual(asked, 1)
    })
  )

  it.live("a probe whose caller goes away while it asks for its place holds none", () =>
    Effect.gen(function* () {
      const { prefix, url } = yield* redis
      const start = startOn(url, prefix, policy)
      const [one, two] = [yield* start(), yield* start()]
      yield* calls(one, 10, failing)
      yield* becomes(two, "open")
      yield* becomes(one, "half-open")
      yield* becomes(two, "half-open")
      for (let i = 0; i < 20; i++) {
        // The place is asked for, and not given yet, when it is interrupted.
        const asking = yield* Effect.forkChild(Effect.scoped(one.acquire(key)), { startImmediately: true })
        asking.interruptUnsafe()
      }
      yield* eventually(
        "all places are free again",
        Effect.gen(function* () {
          const scope = yield* Scope.make()
          const three = yield* Effect.exit(
            Scope.provide(Effect.all([two.acquire(key), two.acquire(key), two.acquire(key)]), scope)
          )
          yield* Scope.close(scope, Exit.void)
          return Exit.isSuccess(three)
        }),
        2_000
      )
    })
  )
})

describe.skipIf(!breakable)("circuit breakers of a fleet whose Redis goes away", () => {
  it.live("without it each process decides for itself, at once, and tells the others once it is back", () =>
    Effect.gen(function* () {
      const server = yield* startRedis
      const long = { ...policy, openMs: 20_000, maxOpenMs: 20_000 }
      const start = startOn(server.url, "fleet", long)
      const [one, two] = [yield* start(), yield* start()]
      yield* one.trip("known", 60_000)
      yield* becomes(two, "open", 1_000, "known")
      yield* server.pause
      yield* calls(one, 10, failing)
      assert.strictEqual(yield* one.state(key), "open")
      yield* two.trip("by hand", 60_000)
      assert.strictEqual(yield* two.state("by hand"), "open")
      assert.strictEqual(yield* two.state(key), "closed")
      yield* server.resume
      yield* becomes(two, "open", 3_000)
      yield* becomes(one, "open", 3_000, "by hand")
    })
  )

  it.live(
    "a process that starts without it works, and learns what is open once it is there",
    () =>
      Effect.gen(function* () {
        const server = yield* startRedis
        const start = startOn(server.url, "fleet", policy)
        const one = yield* start()
        yield* one.trip(key, 60_000)
        yield* server.pause
        const later = yield* start()
        yield* calls(later, 10, good)
        yield* server.resume
        yield* becomes(later, "open", 5_000)
      }),
    20_000
  )

  it.live(
    "one that comes back empty is told what holds: those who start then know it too",
    () =>
      Effect.gen(function* () {
        const server = yield* startRedis
        const start = startOn(server.url, "fleet", policy)
        const [one, two] = [yield* start(), yield* start()]
        yield* one.trip(key, 60_000)
        yield* becomes(two, "open")
        yield* server.kill
        yield* server.restart
        yield* eventually(
          "one that starts now has it open",
          Effect.scoped(Effect.flatMap(start(), (late) => Effect.map(late.state(key), (state) => state === "open"))),
          10_000
        )
        // And generations go on: a change of one that knows nothing of the old ones reaches those that do.
        const late = yield* start()
        yield* late.reset(key)
        yield* becomes(one, "closed", 3_000)
        yield* becomes(two, "closed", 3_000)
      }),
    20_000
  )

  it.live("probes are not held up by it", () =>
    Effect.gen(function* () {
      const server = yield* startRedis
      const one = yield* startOn(server.url, "fleet", policy)()
      yield* calls(one, 10, failing)
      yield* server.pause
      yield* becomes(one, "half-open")
      yield* Effect.timeout(calls(one, 3, good), 2_000)
      assert.strictEqual(yield* one.state(key), "closed")
      yield* server.resume
    })
  )
})
