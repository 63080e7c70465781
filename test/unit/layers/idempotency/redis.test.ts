import { randomUUID } from "node:crypto"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Layer, Redacted, Scope } from "effect"
import * as IdempotencyRedis from "../../../../src/layers/idempotency/redis.ts"
import type { Limits } from "../../../../src/layers/idempotency/limits.ts"
import * as RedisClient from "../../../../src/layers/redis/client.ts"
import * as StoreHealthMemory from "../../../../src/layers/store-health/memory.ts"
import * as Wheel from "../../../../src/layers/timers/wheel.ts"
import { Idempotency } from "../../../../src/services/idempotency.ts"
import type { StoreHealth } from "../../../../src/services/store-health.ts"
import { answer, begin, settled, suite, textOf } from "../../../conformance/idempotency.ts"
import * as FaultProxy from "../../../support/fault-proxy.ts"
import { available, breakable, connection, redis, startCluster, startRedis } from "../../../support/redis.ts"
import { until } from "../../../support/server.ts"
import * as AlwaysAsked from "../../../support/store-health.ts"

interface Where {
  readonly url: string
  readonly prefix: string
  readonly cluster?: boolean
  readonly timeoutMs?: number
}

/** A process: its own client, its own memory. */
const open = (
  { cluster = false, prefix, timeoutMs = 1_000, url }: Where,
  limits: Partial<Limits> = {},
  health: Layer.Layer<StoreHealth> = StoreHealthMemory.layer
) =>
  Effect.map(
    Layer.build(
      IdempotencyRedis.layer(limits).pipe(
        Layer.provide(RedisClient.layer({ url: Redacted.make(url), cluster, prefix, timeoutMs, safety: 0.8 })),
        Layer.provide(health),
        Layer.provide(Wheel.layer)
      )
    ),
    (context) => Context.get(context, Idempotency)
  )

const two = (where: Where, limits?: Partial<Limits>) => Effect.all([open(where, limits), open(where, limits)] as const)

describe.skipIf(!available)("over Redis", () => {
  suite("Redis", (limits) => Effect.flatMap(redis, (where) => two(where, limits)))
})

describe.skipIf(!breakable)("over Redis Cluster", () => {
  const life = Scope.makeUnsafe()
  let url = ""
  beforeAll(async () => {
    url = (await Effect.runPromise(Scope.provide(startCluster, life))).url
  })
  afterAll(() => Effect.runPromise(Scope.close(life, Exit.void)))

  suite("Redis Cluster", (limits) =>
    Effect.suspend(() => two({ url, cluster: true, prefix: `t${randomUUID()}` }, limits))
  )
})

/** Two processes of one Redis, the first behind a proxy. */
const proxied = (limits?: Partial<Limits>, timeoutMs = 50, health?: Layer.Layer<StoreHealth>) =>
  Effect.gen(function* () {
    const where = yield* redis
    const proxy = yield* FaultProxy.start(where.url)
    const cut = yield* open({ ...where, url: proxy.url, timeoutMs }, limits, health)
    const whole = yield* open(where, limits)
    const client = yield* connection(where.url)
    /** What Redis has of this test's keys, by looking alone: a key that is asked for is taken. */
    const marks = Effect.promise(async () => {
      const names = await client.keys(`*${where.prefix}*`)
      return Promise.all(
        names.map(async (name) => ({
          name,
          ttlMs: await client.pttl(name),
          answered: (await client.hexists(name, "a")) === 1
        }))
      )
    })
    return { cut, whole, proxy, client, marks, prefix: where.prefix }
  })

describe.skipIf(!available)("Idempotency over Redis", () => {
  it.live("a holder that is gone frees its key within its mark's life and a second", () =>
    Effect.gen(function* () {
      const leaseMs = 600
      const { cut, proxy, whole } = yield* proxied({ leaseMs })
      assert.strictEqual((yield* begin(cut, "k")).what, "Run")
      // As a killed process does, it says nothing any more.
      yield* Effect.promise(() => proxy.refuse(true))
      const { afterMs, value } = yield* until(begin(whole, "k"), ({ what }) => what !== "InFlight")
      assert.strictEqual(value.what, "Run")
      assert.isAtMost(afterMs, leaseMs + 1_000)
    })
  )

  it.live("a holder that lives keeps its key far beyond its mark's life", () =>
    Effect.gen(function* () {
      const { marks, whole } = yield* proxied({ leaseMs: 300 })
      const first = yield* begin(whole, "k")
      let renewals = 0
      let last = Infinity
      yield* until(marks, ([mark]) => {
        const { ttlMs = 0 } = mark ?? {}
        if (ttlMs > last) renewals++
        last = ttlMs
        return renewals >= 4
      })
      assert.strictEqual((yield* begin(whole, "k")).what, "InFlight")
      yield* first.close
      assert.strictEqual((yield* settled(whole, "k")).what, "Run")
    })
  )

  it.live("a holder that lost its key to another cannot answer for it", () =>
    Effect.gen(function* () {
      const { cut, proxy, whole } = yield* proxied({ leaseMs: 300 })
      const lost = yield* begin(cut, "k")
      yield* Effect.promise(() => proxy.refuse(true))
      const { value: next } = yield* until(begin(whole, "k"), ({ what }) => what !== "InFlight")
      yield* Effect.promise(() => proxy.refuse(false))
      yield* until(begin(cut, "probe"), ({ what }) => what !== "InFlight")
      // While the other runs, and after it has answered.
      yield* answer(lost, ["lost"])
      assert.strictEqual((yield* begin(whole, "k")).what, "InFlight")
      yield* answer(next, ["next"])
      assert.strictEqual(textOf(yield* settled(whole, "k")), "next")
      const { value } = yield* until(begin(cut, "k"), (each) => textOf(each) === "next")
      assert.strictEqual(value.what, "Replay")
    })
  )

  it.live("while Redis hangs, this process decides, and each request waits for it once at most", () =>
    Effect.gen(function* () {
      const { cut, proxy } = yield* proxied({}, 40)
      yield* answer(yield* begin(cut, "before"))
      proxy.hang(true)
      for (let at = 0; at < 5; at++) {
        const began = performance.now()
        const first = yield* begin(cut, `k${at}`)
        assert.strictEqual(first.what, "Run")
        // Three in a row: it is known to be down, and nobody waits any more.
        if (at >= 3) assert.isBelow(performance.now() - began, 40)
        assert.strictEqual((yield* begin(cut, `k${at}`)).what, "InFlight")
        yield* answer(first)
        assert.strictEqual((yield* begin(cut, `k${at}`)).what, "Replay")
        assert.strictEqual((yield* begin(cut, `k${at}`, "other")).what, "OtherBody")
      }
    })
  )

  it.live("what was begun and answered while Redis was away is everybody's once it is back", () =>
    Effect.gen(function* () {
      const { cut, marks, proxy, whole } = yield* proxied({ leaseMs: 300 })
      yield* Effect.promise(() => proxy.refuse(true))
      yield* answer(yield* begin(cut, "answered"), ["meanwhile"])
      const running = yield* begin(cut, "running")
      assert.deepStrictEqual(yield* marks, [])
      yield* Effect.promise(() => proxy.refuse(false))
      yield* until(marks, (all) => all.length === 2 && all.some(({ answered }) => answered))
      assert.strictEqual(textOf(yield* begin(whole, "answered")), "meanwhile")
      assert.strictEqual((yield* begin(whole, "running")).what, "InFlight")
      yield* answer(running, ["later"])
      assert.strictEqual(textOf(yield* settled(whole, "running")), "later")
    })
  )

  it.live("replies that are lost now and then cost no error, and no answer", () =>
    Effect.gen(function* () {
      // Asked however often it fails.
      const { cut, marks, proxy, whole } = yield* proxied({ leaseMs: 300 }, 30, AlwaysAsked.layer)
      proxy.dropShare(0.3, 11, 60)
      for (let at = 0; at < 30; at++) yield* answer(yield* begin(cut, `k${at}`), [`${at}`])
      assert.isAbove(proxy.counts().dropped, 0)
      yield* Effect.promise(proxy.heal)
      yield* until(marks, (all) => all.filter(({ answered }) => answered).length === 30)
      for (let at = 0; at < 30; at++) assert.strictEqual(textOf(yield* begin(whole, `k${at}`)), `${at}`)
    })
  )

  it.live("neither tenant nor key stands in Redis, and an answer has a day to live", () =>
    Effect.gen(function* () {
      const { marks, prefix, whole } = yield* proxied()
      yield* answer(yield* begin(whole, "sec-ret"))
      yield* settled(whole, "sec-ret")
      const [mark, ...others] = yield* marks
      assert.deepStrictEqual(others, [])
      assert.isTrue(mark?.name.startsWith(`{${prefix}}:idem:`))
      assert.notMatch(mark?.name ?? "", /sec-ret|acme/)
      assert.isAbove(mark?.ttlMs ?? 0, 86_390_000)
    })
  )

  it.live("an answer that nobody can read is none: the request runs", () =>
    Effect.gen(function* () {
      const { client, marks, whole } = yield* proxied()
      yield* answer(yield* begin(whole, "k"))
      yield* settled(whole, "k")
      const [mark] = yield* marks
      yield* Effect.promise(() => client.hset(mark?.name ?? "", "a", '{"half'))
      assert.strictEqual((yield* begin(whole, "k")).what, "Run")
    })
  )
})

describe.skipIf(!breakable)("Idempotency over a Redis that is restarted", () => {
  it.live("a run takes its key again where Redis has lost it", () =>
    Effect.gen(function* () {
      const server = yield* startRedis
      const [one, other] = yield* two({ url: server.url, prefix: "p" }, { leaseMs: 300 })
      const running = yield* begin(one, "k")
      assert.strictEqual((yield* begin(other, "k")).what, "InFlight")
      yield* server.restart
      const client = yield* connection(server.url)
      yield* until(
        Effect.promise(() => client.keys("*")),
        (names) => names.length === 1
      )
      assert.strictEqual((yield* begin(other, "k")).what, "InFlight")
      yield* answer(running)
      assert.strictEqual((yield* settled(other, "k")).what, "Replay")
    })
  )
})
