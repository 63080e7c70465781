import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Scope } from "effect"
import * as Caller from "../../../../src/domain/caller.ts"
import { suite } from "../../../conformance/leases.ts"
import { available, breakable, redis, startCluster, startRedis } from "../../../support/redis.ts"
import * as Stores from "../../../support/stores.ts"

const acme = Caller.make("acme")

suite(
  "Redis",
  (leases) =>
    Effect.gen(function* () {
      const { prefix, url } = yield* redis
      return (yield* Stores.process({ url, prefix, leases })).leases
    }),
  !available
)

suite(
  "Redis Cluster",
  (leases) =>
    Effect.gen(function* () {
      const { url } = yield* startCluster
      return (yield* Stores.process({ url, prefix: "conformance", cluster: true, leases })).leases
    }),
  !breakable
)

/** Try until it is let in; how long (ms) that took. */
const untilGiven = (leases: Stores.Process["leases"]) =>
  Effect.gen(function* () {
    const began = performance.now()
    for (;;) {
      const exit = yield* Effect.exit(leases.acquire(acme))
      if (Exit.isSuccess(exit)) return performance.now() - began
      yield* Effect.sleep(10)
    }
  })

describe.skipIf(!breakable)("leases over Redis", () => {
  it.live("processes share the places of a tenant, and each knows how many processes there are", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { prefix, url } = yield* redis
        const [one, two] = [
          yield* Stores.process({ url, prefix, leases: { standard: 2 } }),
          yield* Stores.process({ url, prefix, leases: { standard: 2 } })
        ]
        yield* one.leases.acquire(acme)
        yield* two.leases.acquire(acme)
        assert.isTrue(Exit.isFailure(yield* Effect.exit(one.leases.acquire(acme))))
        while (one.fleet.processes < 2) yield* Effect.sleep(20)
        assert.strictEqual(one.fleet.processes, 2)
      })
    )
  )

  it.live("the place of a holder that is gone is free within its life and a second", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { prefix, url } = yield* redis
        const killed = yield* Scope.make()
        const leases = { standard: 1, ttlMs: 600 }
        const one = yield* Scope.provide(Stores.process({ url, prefix, leases }), killed)
        yield* Effect.forkScoped(Effect.andThen(one.leases.acquire(acme), Effect.never))
        const two = yield* Stores.process({ url, prefix, leases })
        while ((yield* two.leases.held(acme.tenant)) === 0) yield* Effect.sleep(5)
        // Killed: it renews no more, and gives nothing back.
        Object.assign(one.client, { runUnsafe: () => {} })
        assert.isBelow(yield* untilGiven(two.leases), 1_600)
      })
    )
  )

  it.live("a holder keeps its place for as long as it lives", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { prefix, url } = yield* redis
        const leases = { standard: 1, ttlMs: 300 }
        const one = yield* Stores.process({ url, prefix, leases })
        const two = yield* Stores.process({ url, prefix, leases })
        const lease = yield* one.leases.acquire(acme)
        for (let i = 0; i < 20; i++) {
          assert.isTrue(Exit.isFailure(yield* Effect.exit(Effect.scoped(two.leases.acquire(acme)))))
          yield* Effect.sleep(50)
        }
        assert.isTrue(lease.held())
      })
    )
  )

  it.live("a holder whose place another has got is told", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { prefix, url } = yield* redis
        const leases = { standard: 1, ttlMs: 300 }
        const one = yield* Stores.process({ url, prefix, leases })
        const two = yield* Stores.process({ url, prefix, leases })
        const lost = yield* Deferred.make<void>()
        const lease = yield* one.leases.acquire(acme)
        lease.onLost(() => Deferred.doneUnsafe(lost, Effect.void))
        // As after a long sleep: it has expired, and another one came.
        yield* two.client.send("DEL", two.client.key("l:acme"))
        const other = yield* two.leases.acquire(acme)
        yield* Deferred.await(lost)
        assert.isFalse(lease.held())
        assert.isAbove(other.fence, lease.fence)
      })
    )
  )

  it.live(
    "while Redis is away calls go on, new ones are let in up to this process's share, and it heals by itself",
    () =>
      Effect.scoped(
        Effect.gen(function* () {
          const server = yield* startRedis
          const one = yield* Stores.process({ url: server.url, prefix: "t", timeoutMs: 30, leases: { standard: 10 } })
          const before = yield* one.leases.acquire(acme)
          yield* server.pause
          const times: Array<number> = []
          let given = 0
          for (let i = 0; i < 20; i++) {
            const began = performance.now()
            if (Exit.isSuccess(yield* Effect.exit(one.leases.acquire(acme)))) given++
            times.push(performance.now() - began)
          }
          // 0.8 of 10 by one process alone.
          assert.strictEqual(given, 8)
          assert.isTrue(before.held())
          assert.isBelow(Math.max(...times), 100)
          yield* server.resume
          const two = yield* Stores.process({ url: server.url, prefix: "t", leases: { standard: 10 } })
          while ((yield* two.leases.held(acme.tenant)) !== 1) yield* Effect.sleep(20)
        })
      )
  )
})
