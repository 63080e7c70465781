import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Cluster } from "ioredis"
import {
  available,
  breakable,
  connection,
  redis,
  startCluster,
  startDurableRedis,
  startRedis
} from "../../support/redis.ts"
import { listens } from "../../support/store-server.ts"

describe.skipIf(!available)("the shared Redis", () => {
  it.live("gives each its own prefix, and deletes what was kept under it", () =>
    Effect.gen(function* () {
      const used = yield* Effect.scoped(
        Effect.gen(function* () {
          const mine = yield* redis
          const client = yield* connection(mine.url)
          yield* Effect.promise(() => client.set(`{${mine.prefix}}:a`, "1"))
          return mine
        })
      )
      const other = yield* redis
      assert.notStrictEqual(other.prefix, used.prefix)
      const client = yield* connection(used.url)
      assert.strictEqual(yield* Effect.promise(() => client.exists(`{${used.prefix}}:a`)), 0)
    })
  )
})

describe.skipIf(!breakable)("a Redis of one's own", () => {
  it.live("hangs while it is paused, and is gone with its scope", () =>
    Effect.gen(function* () {
      const port = yield* Effect.scoped(
        Effect.gen(function* () {
          const server = yield* startRedis
          const client = yield* connection(server.url)
          yield* Effect.promise(() => client.ping())
          yield* server.pause
          const answer = client.ping()
          const waited = yield* Effect.timeoutOption(
            Effect.promise(() => answer),
            50
          )
          assert.strictEqual(waited._tag, "None")
          yield* server.resume
          assert.strictEqual(yield* Effect.promise(() => answer), "PONG")
          return server.port
        })
      )
      assert.isFalse(yield* Effect.promise(() => listens(port)))
    })
  )

  it.live("is killed and comes back on its port, empty or with what it had", () =>
    Effect.gen(function* () {
      for (const [start, kept] of [
        [startRedis, null],
        [startDurableRedis, "1"]
      ] as const) {
        const server = yield* start
        const client = yield* connection(server.url)
        yield* Effect.promise(() => client.set("a", "1"))
        yield* server.kill
        assert.isFalse(yield* Effect.promise(() => listens(server.port)))
        yield* server.restart
        assert.strictEqual(yield* Effect.promise(() => client.get("a")), kept)
      }
    })
  )

  it.live("makes a cluster that serves every slot", () =>
    Effect.gen(function* () {
      const { nodes, url } = yield* startCluster
      const cluster = yield* Effect.acquireRelease(
        Effect.sync(() => new Cluster([url])),
        (each) => Effect.sync(() => each.disconnect())
      )
      for (let at = 0; at < 30; at++) yield* Effect.promise(() => cluster.set(`key${at}`, "1"))
      const sizes = yield* Effect.forEach(nodes, (node) =>
        Effect.flatMap(connection(node.url), (client) => Effect.promise(() => client.dbsize()))
      )
      assert.isAbove(Math.min(...sizes), 0)
      assert.strictEqual(
        sizes.reduce((sum, size) => sum + size, 0),
        30
      )
    })
  )
})
