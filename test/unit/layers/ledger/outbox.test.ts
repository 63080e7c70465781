/** From the stream to the books: each entry once, whoever dies when, and nothing taken out before it is written. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Layer, Redacted, Scope } from "effect"
import type { LedgerEntry } from "../../../../src/domain/ledger.ts"
import { StoreError } from "../../../../src/domain/errors.ts"
import * as Memory from "../../../../src/layers/ledger/memory.ts"
import * as LedgerPostgres from "../../../../src/layers/ledger/postgres.ts"
import * as Outbox from "../../../../src/layers/ledger/outbox.ts"
import * as Migrate from "../../../../src/layers/postgres/migrate.ts"
import * as RedisClient from "../../../../src/layers/redis/client.ts"
import * as Wheel from "../../../../src/layers/timers/wheel.ts"
import { Ledger } from "../../../../src/services/ledger.ts"
import { all, entry } from "../../../support/ledger.ts"
import * as TestPostgres from "../../../support/postgres.ts"
import * as TestRedis from "../../../support/redis.ts"
import * as Sql from "../../../support/sql.ts"
import * as StoreHealth from "../../../support/store-health.ts"

const around = Layer.mergeAll(StoreHealth.layer, Wheel.layer)

const redisAt = ({ prefix, url }: { readonly prefix: string; readonly url: string }) =>
  Layer.provide(
    RedisClient.layer({ url: Redacted.make(url), cluster: false, prefix, timeoutMs: 2_000, safety: 0.8 }),
    around
  )
const redis = Layer.unwrap(Effect.map(TestRedis.redis, redisAt))

/** What the budget's script does at the end of a request. */
const add = Effect.fnUntraced(function* (one: LedgerEntry, meta?: string) {
  const client = yield* RedisClient.RedisClient
  const { atMs, id, inputTokens, kind, microUsd, outputTokens, ...rest } = one
  const fields = {
    id,
    kind,
    at: atMs,
    in: inputTokens,
    out: outputTokens,
    usd: microUsd,
    meta: meta ?? JSON.stringify(rest)
  }
  yield* client.send("XADD", client.key("ledger"), "*", ...Object.entries(fields).flat().map(String))
})
const ids = (tenant: string, count: number) => Array.from({ length: count }, (_, i) => entry(tenant, `${tenant}-${i}`))

/** Books that can be closed for a while; they tell when somebody has tried in vain. */
const shutBooks = () => {
  const books = Memory.make()
  const tried = Deferred.makeUnsafe<void>()
  let shut = true
  const away = new StoreError({ store: "postgres", reason: { _tag: "Unavailable", detail: "ECONNREFUSED" } })
  const layer = Layer.succeed(Ledger, {
    ...books,
    write: (entries) =>
      Effect.suspend(() => {
        if (!shut) return books.write(entries)
        Deferred.doneUnsafe(tried, Effect.void)
        return Effect.fail(away)
      })
  })
  return { layer, tried: Deferred.await(tried), open: Effect.sync(() => void (shut = false)) }
}

const quick: Outbox.Options = { claimMs: 600_000, pauseMs: [5, 20] }
/** Takes over what was read and left a fifth of a second ago. */
const claiming: Outbox.Options = { ...quick, claimMs: 200 }

describe.skipIf(!TestRedis.available)("Outbox", () => {
  it.live("books what is in the stream and takes it out, twice the same once, and is forgotten when it goes", () =>
    Effect.gen(function* () {
      const client = yield* RedisClient.RedisClient
      const ledger = yield* Ledger
      const scope = yield* Scope.make()
      for (const one of ids("early", 3)) yield* add(one)
      const { drained, pending } = yield* Scope.provide(Outbox.make(quick), scope)
      for (const one of ids("acme", 40)) yield* add(one)
      for (const one of ids("acme", 40)) yield* add(one)
      yield* add(entry("acme", "acme-0", { kind: "corrected", microUsd: -50 }))
      yield* drained
      assert.strictEqual(yield* pending, 0)
      assert.strictEqual((yield* ledger.sum(all("early"))).microUsd, 300)
      assert.deepStrictEqual(yield* ledger.sum(all("acme")), { entries: 41, tokens: 41 * 15, microUsd: 3_950 })
      const consumers = client.send<ReadonlyArray<unknown>>("XINFO", "CONSUMERS", client.key("ledger"), "ledger")
      assert.lengthOf(yield* consumers, 1)
      yield* Scope.close(scope, Exit.void)
      assert.lengthOf(yield* consumers, 0)
    }).pipe(Effect.provide([redis, Memory.layer]))
  )

  it.live("what is no entry is put aside, quoting nothing in the log, and holds up nobody", () =>
    Effect.gen(function* () {
      const client = yield* RedisClient.RedisClient
      const ledger = yield* Ledger
      const broken: ReadonlyArray<readonly [LedgerEntry, string?]> = [
        [entry("acme", "b1"), "{ not JSON"],
        [entry("acme", "b2"), "{}"],
        [entry("acme", "b3", { microUsd: 0.5 })],
        [entry("acme", "b4", { kind: "stolen" as never })],
        [entry("acme", "b5", { atMs: Number.NaN })],
        // An entry by its looks, which the books refuse.
        [entry("acme", "b6".repeat(1_000))],
        [entry("acme", "b7", { atMs: 1e18 })]
      ]
      for (const [one, meta] of broken) {
        yield* add(one, meta)
        yield* add(entry("acme", `good-${one.id.slice(0, 2)}`))
      }
      yield* client.send("XADD", client.key("ledger"), "*", "nothing", "known")
      const { drained } = yield* Outbox.make(quick)
      yield* drained
      assert.strictEqual((yield* ledger.sum(all("acme"))).entries, broken.length)
      const dead = yield* client.send<ReadonlyArray<unknown>>("XRANGE", client.key("ledger-dead"), "-", "+")
      assert.lengthOf(dead, broken.length + 1)
      assert.include(JSON.stringify(dead), "b4")
      const waiting = yield* client.send<ReadonlyArray<unknown>>("XPENDING", client.key("ledger"), "ledger")
      assert.strictEqual(waiting[0], 0)
    }).pipe(Effect.provide([redis, Memory.layer]))
  )

  it.live("while the books are shut nothing is taken out, and afterwards all of it is booked", () => {
    const { layer, open, tried } = shutBooks()
    return Effect.gen(function* () {
      const ledger = yield* Ledger
      for (const one of ids("acme", 1_200)) yield* add(one)
      const { drained, pending } = yield* Outbox.make(quick)
      yield* tried
      assert.strictEqual(yield* pending, 1_200)
      yield* open
      yield* drained
      assert.strictEqual((yield* ledger.sum(all("acme"))).entries, 1_200)
    }).pipe(Effect.provide([redis, layer]))
  })

  it.live("closed while the books are shut it goes at once, and the next one books everything", () => {
    const { layer, open, tried } = shutBooks()
    return Effect.gen(function* () {
      const ledger = yield* Ledger
      for (const one of ids("acme", 700)) yield* add(one)
      const scope = yield* Scope.make()
      yield* Scope.provide(Outbox.make({ ...quick, pauseMs: [60_000, 60_000] }), scope)
      yield* tried
      yield* Scope.close(scope, Exit.void)
      yield* open
      const { drained, pending } = yield* Outbox.make(claiming)
      assert.isAtMost(yield* pending, 700)
      yield* drained
      assert.strictEqual((yield* ledger.sum(all("acme"))).entries, 700)
    }).pipe(Effect.provide([redis, layer]))
  })

  it.live("what a process has read before it died is taken over, whether it had been written or not", () =>
    Effect.gen(function* () {
      const client = yield* RedisClient.RedisClient
      const ledger = yield* Ledger
      const entries = ids("acme", 30)
      for (const one of entries) yield* add(one)
      const key = client.key("ledger")
      yield* client.send("XGROUP", "CREATE", key, "ledger", "0")
      yield* client.send("XREADGROUP", "GROUP", "ledger", "died", "COUNT", "20", "STREAMS", key, ">")
      yield* ledger.write(entries.slice(0, 10))
      const { drained } = yield* Outbox.make(claiming)
      yield* drained
      assert.strictEqual((yield* ledger.sum(all("acme"))).entries, 30)
    }).pipe(Effect.provide([redis, Memory.layer]))
  )

  it.live("several processes share the work", () =>
    Effect.gen(function* () {
      const ledger = yield* Ledger
      const outboxes = yield* Effect.forEach([1, 2, 3], () => Outbox.make({ ...quick, count: 7 }))
      yield* Effect.forEach(ids("acme", 1_000), (one) => add(one), { concurrency: 50, discard: true })
      for (const { drained } of outboxes) yield* drained
      assert.strictEqual((yield* ledger.sum(all("acme"))).entries, 1_000)
    }).pipe(Effect.provide([redis, Memory.layer]))
  )
})

describe.skipIf(!TestRedis.breakable)("Outbox and a Redis that dies", () => {
  it.live("goes on when Redis is back, with its stream or without", () =>
    Effect.gen(function* () {
      const server = yield* TestRedis.startDurableRedis
      yield* Effect.gen(function* () {
        const client = yield* RedisClient.RedisClient
        const ledger = yield* Ledger
        const { drained } = yield* Outbox.make(quick)
        yield* add(entry("acme", "before"))
        yield* drained
        for (const lose of [false, true]) {
          const back = Deferred.makeUnsafe<void>()
          client.onConnected(() => Deferred.doneUnsafe(back, Effect.void))
          yield* server.restart
          yield* Deferred.await(back)
          if (lose) yield* client.send("DEL", client.key("ledger"))
          yield* add(entry("acme", `after-${lose}`))
          yield* drained
        }
        assert.strictEqual((yield* ledger.sum(all("acme"))).entries, 3)
      }).pipe(Effect.provide([redisAt({ url: server.url, prefix: "own" }), Memory.layer]))
    })
  )
})

describe.skipIf(!TestRedis.available || !TestPostgres.breakable)("Outbox and a Postgres that dies", () => {
  it.live(
    "nothing is lost and nothing is booked twice",
    () =>
      Effect.gen(function* () {
        const server = yield* TestPostgres.startPostgres
        const postgres = Sql.at(server.url)
        yield* Effect.gen(function* () {
          yield* Migrate.migrate()
          const ledger = yield* Ledger
          const { drained, pending } = yield* Outbox.make({ ...quick, count: 10 })
          for (const one of ids("acme", 200)) yield* add(one)
          yield* server.kill
          for (const one of ids("later", 200)) yield* add(one)
          assert.isAtLeast(yield* pending, 200)
          yield* server.restart
          yield* drained
          assert.strictEqual((yield* ledger.sum(all("acme"))).entries, 200)
          assert.strictEqual((yield* ledger.sum(all("later"))).microUsd, 20_000)
        }).pipe(Effect.provide(Layer.merge(redis, Layer.provideMerge(LedgerPostgres.layer(), postgres))))
      }),
    60_000
  )
})
