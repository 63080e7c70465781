import { createServer } from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Scope } from "effect"
import { Redis } from "ioredis"
import * as FaultProxy from "../../support/fault-proxy.ts"
import { available, redis } from "../../support/redis.ts"

/** A server that says `+PONG` to whatever it is told: enough of Redis for one command at a time. */
const ponging: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.callback<ReturnType<typeof createServer>>((resume) => {
    const server = createServer((socket) => {
      socket.on("error", () => {})
      socket.on("data", () => socket.write("+PONG\r\n"))
    })
    server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
  }),
  (server) => Effect.sync(() => server.close())
).pipe(
  Effect.map((server) => {
    const address = server.address()
    return `redis://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`
  })
)

/** A client that tries once, and says what became of a command: its reply, or that there was none. */
const client = (url: string) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => {
        const each = new Redis(url, {
          enableReadyCheck: false,
          disableClientInfo: true,
          maxRetriesPerRequest: 0,
          retryStrategy: () => null
        })
        each.on("error", () => {})
        return each
      }),
      (each) => Effect.sync(() => each.disconnect())
    ),
    (each) => () =>
      each.ping().then(
        (reply) => reply,
        () => "none"
      )
  )

const setup = Effect.gen(function* () {
  const proxy = yield* FaultProxy.start(yield* ponging)
  return { proxy, ping: yield* client(proxy.url) }
})

const timed = (ping: () => Promise<string>) =>
  Effect.gen(function* () {
    const began = performance.now()
    return { reply: yield* Effect.promise(ping), ms: performance.now() - began }
  })

describe("the fault proxy", () => {
  it.live("passes on", () =>
    Effect.gen(function* () {
      const { ping, proxy } = yield* setup
      assert.strictEqual(yield* Effect.promise(ping), "PONG")
      // The client begins with words of its own.
      const { bytesDown, bytesUp } = proxy.counts()
      assert.strictEqual(yield* Effect.promise(ping), "PONG")
      assert.deepStrictEqual(proxy.counts(), {
        connections: 1,
        open: 1,
        dropped: 0,
        bytesUp: bytesUp + "*1\r\n$4\r\nping\r\n".length,
        bytesDown: bytesDown + "+PONG\r\n".length
      })
    })
  )

  it.live("delays each reply, in order", () =>
    Effect.gen(function* () {
      const { ping, proxy } = yield* setup
      yield* Effect.promise(ping)
      proxy.delay(60)
      const late = yield* timed(ping)
      assert.strictEqual(late.reply, "PONG")
      assert.isAtLeast(late.ms, 59)
      yield* Effect.promise(proxy.heal)
      assert.isBelow((yield* timed(ping)).ms, 59)
    })
  )

  it.live("hangs without a word, and tells all it has heard when that ends", () =>
    Effect.gen(function* () {
      const { ping, proxy } = yield* setup
      yield* Effect.promise(ping)
      proxy.hang(true)
      const asked = ping()
      const waited = yield* Effect.timeoutOption(
        Effect.promise(() => asked),
        50
      )
      assert.strictEqual(waited._tag, "None")
      proxy.hang(false)
      assert.strictEqual(yield* Effect.promise(() => asked), "PONG")
    })
  )

  it.live("cuts what is open and takes new connections", () =>
    Effect.gen(function* () {
      const { ping, proxy } = yield* setup
      yield* Effect.promise(ping)
      proxy.hang(true)
      const asked = ping()
      proxy.cut()
      assert.strictEqual(yield* Effect.promise(() => asked), "none")
      yield* Effect.promise(proxy.heal)
      const next = yield* client(proxy.url)
      assert.strictEqual(yield* Effect.promise(next), "PONG")
    })
  )

  it.live("refuses, and opens the same port again", () =>
    Effect.gen(function* () {
      const { proxy } = yield* setup
      yield* Effect.promise(() => proxy.refuse(true))
      const refused = yield* client(proxy.url)
      assert.strictEqual(yield* Effect.promise(refused), "none")
      assert.strictEqual(proxy.counts().open, 0)
      yield* Effect.promise(() => proxy.refuse(false))
      const next = yield* client(proxy.url)
      assert.strictEqual(yield* Effect.promise(next), "PONG")
    })
  )

  it.live("holds back the share of replies that a seed draws, the same each time", () =>
    Effect.gen(function* () {
      const { ping, proxy } = yield* setup
      yield* Effect.promise(ping)
      const lates = Effect.gen(function* () {
        const from = proxy.counts().dropped
        const drops: Array<number> = []
        proxy.dropShare(0.2, 7, 5)
        for (let at = 0; at < 50; at++) {
          yield* Effect.promise(ping)
          drops.push(proxy.counts().dropped - from)
        }
        return drops
      })
      const first = yield* lates
      assert.isAbove(first.at(-1) ?? 0, 3)
      assert.isBelow(first.at(-1) ?? 0, 20)
      assert.deepStrictEqual(yield* lates, first)
    })
  )

  it.live("swallows a reply for ever with its connection", () =>
    Effect.gen(function* () {
      const { ping, proxy } = yield* setup
      yield* Effect.promise(ping)
      proxy.dropShare(1, 1)
      assert.strictEqual(yield* Effect.promise(ping), "none")
      assert.strictEqual(proxy.counts().dropped, 1)
    })
  )
})

describe.skipIf(!available)("the fault proxy before Redis", () => {
  it.live("is a Redis", () =>
    Effect.gen(function* () {
      const { url } = yield* redis
      const proxy = yield* FaultProxy.start(url)
      const ping = yield* client(proxy.url)
      assert.strictEqual(yield* Effect.promise(ping), "PONG")
    })
  )
})
