/**
 * A client that goes away, at every point of its request's life: the call to
 * the provider ends and everything that was held is back within 100 ms. And a
 * client that stays but does not read: it holds no more than a bounded buffer,
 * and not for ever.
 */
import * as Net from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Scope } from "effect"
import type { BallastConfigInput } from "../../src/domain/config-file.ts"
import * as FaultServer from "../support/fault-server.ts"
import type { FaultServer as Server } from "../support/fault-server.ts"
import * as Client from "../support/raw-client.ts"
import * as Upstream from "../support/scripted-upstream.ts"
import type { ScriptedCall, ScriptedUpstream } from "../support/scripted-upstream.ts"
import * as Answers from "../support/upstream-answers.ts"

/** What is promised, for the usual case, and what a busy machine may make of a single one. */
const promisedMs = 100
const jitterMs = 250

const places = 4

const policies: NonNullable<BallastConfigInput["policies"]> = {
  bulkhead: { maxInFlight: places, maxQueue: 32 },
  rateLimits: { user: { requestsPerMinute: 100 }, ip: { requestsPerMinute: null } },
  timeouts: { hardMs: 8_000, firstTokenMs: 8_000 }
}

const start = (handle: (call: ScriptedCall, index: number) => void, rest: BallastConfigInput = {}) =>
  Effect.gen(function* () {
    const upstream = yield* Upstream.start(handle)
    const server = yield* FaultServer.start(FaultServer.upstreamAt(upstream.origin, { policies, ...rest }))
    return { upstream, server }
  })

const chat = (rest: object = {}) => ({ model: "m", messages: [{ role: "user", content: "Hi" }], ...rest })
const named = { "x-ballast-user": "u" }
const first = Answers.chunk({ role: "assistant", content: "first" })
const begin = (call: ScriptedCall): void => Answers.begin(call, [first])
const whole = (call: ScriptedCall): void => Answers.json(call, Answers.completion({ content: "hello" }))
const hang = (): void => {}

const median = (values: ReadonlyArray<number>): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Infinity

const assertPrompt = (what: string, tookMs: ReadonlyArray<number>): void => {
  console.info(`${what}: ${tookMs.map((ms) => ms.toFixed(1)).join(", ")} ms`)
  assert.isAtMost(median(tookMs), promisedMs)
  assert.isAtMost(Math.max(...tookMs), jitterMs)
}

/** A burst of `count` calls that the provider begins at the same time: none waits for a permit that was lost. */
const burst = (server: Server, count: number) =>
  Effect.gen(function* () {
    const answers = yield* Effect.all(
      Array.from({ length: count }, () => Client.send(server.url, { body: chat() })),
      { concurrency: "unbounded" }
    )
    for (const { status, text } of answers) assert.strictEqual(status, 200, text)
  })

/** Repeat: send, wait until the provider is in it, leave; how long until the provider's connection was closed. */
const leaving = (
  server: Server,
  upstream: ScriptedUpstream,
  body: object,
  ready: (call: Client.Call) => Effect.Effect<unknown>
): Effect.Effect<ReadonlyArray<number>, never, Scope.Scope> =>
  Effect.gen(function* () {
    const took: Array<number> = []
    // More often than there are places: each one that is lost would be missed at the end.
    for (let i = 0; i < places + 3; i++) {
      const call = yield* Client.open(server.url, { body, headers: named })
      yield* upstream.nextCall
      yield* ready(call)
      const leftAt = yield* call.leave
      took.push((yield* upstream.nextClose) - leftAt)
      yield* FaultServer.atRest(server)
      assert.isAtMost(performance.now() - leftAt, 1_000)
    }
    return took
  })

describe("a client that leaves", { timeout: 20_000 }, () => {
  const cases = [
    ["a stream before its headers", hang, chat({ stream: true }), () => Effect.void],
    ["a plain answer before its headers", hang, chat(), () => Effect.void],
    [
      "a stream before its first token",
      (call: ScriptedCall) => Answers.begin(call, []),
      chat({ stream: true }),
      () => Effect.void
    ],
    [
      "a plain answer in the middle of it",
      (call: ScriptedCall) => {
        call.response.writeHead(200, { "content-type": "application/json" })
        call.response.write('{"id":')
      },
      chat(),
      () => Effect.void
    ],
    ["a stream after its first token", begin, chat({ stream: true }), (call: Client.Call) => call.until("first")]
  ] as const
  for (const [name, handle, body, ready] of cases) {
    it.live(`${name}: the provider's call is aborted and everything is back`, () =>
      Effect.gen(function* () {
        let healthy = false
        const { server, upstream } = yield* start((call) => (healthy ? whole(call) : handle(call)))
        assertPrompt(name, yield* leaving(server, upstream, body, ready))
        healthy = true
        yield* burst(server, places)
        yield* FaultServer.atRest(server)
      })
    )
  }

  it.live("from embeddings: the same", () =>
    Effect.gen(function* () {
      const { server, upstream } = yield* start(hang)
      const call = yield* Client.open(server.url, { path: "/v1/embeddings", body: { model: "e", input: "a" } })
      yield* upstream.nextCall
      const leftAt = yield* call.leave
      assert.isAtMost((yield* upstream.nextClose) - leftAt, jitterMs)
      yield* FaultServer.atRest(server)
    })
  )

  it.live("before the first token is not charged", () =>
    Effect.gen(function* () {
      let healthy = false
      const { server, upstream } = yield* start((call) => (healthy ? whole(call) : undefined))
      yield* leaving(server, upstream, chat(), () => Effect.void)
      healthy = true
      const { headers } = yield* Client.send(server.url, { body: chat(), headers: named })
      assert.strictEqual(headers["x-ratelimit-remaining-requests"], "99")
    })
  )

  it.live("is counted as such, and not as the provider's failure", () =>
    Effect.gen(function* () {
      const { server, upstream } = yield* start(begin, { policies: { ...policies, breaker: { minimumCalls: 1 } } })
      yield* leaving(server, upstream, chat({ stream: true }), (call) => call.until("first"))
      assert.strictEqual(yield* server.breaker("up/upstream-model"), "closed")
      const counted = yield* server.metric(
        'llm_requests_total{model="m",operation="chat",status="499",outcome="cancelled"}'
      )
      assert.strictEqual(counted, places + 3)
    })
  )

  it.live("from the queue gives its place to nobody else's harm", () =>
    Effect.gen(function* () {
      const calls: Array<ScriptedCall> = []
      const { server, upstream } = yield* start((call) => void calls.push(call))
      const ask = Client.open(server.url, { body: chat() })
      const running = yield* Effect.all(Array.from({ length: places }, () => ask))
      for (let i = 0; i < places; i++) yield* upstream.nextCall
      const waiting = yield* Effect.all(Array.from({ length: 5 }, () => ask))
      yield* FaultServer.eventually(server.bulkhead("up"), ({ queued }) => queued === 5)
      const took: Array<number> = []
      for (const [index, call] of waiting.entries()) {
        const leftAt = yield* call.leave
        yield* FaultServer.eventually(server.bulkhead("up"), ({ queued }) => queued === 4 - index)
        took.push(performance.now() - leftAt)
      }
      assertPrompt("from the queue", took)
      assert.deepStrictEqual(yield* server.bulkhead("up"), { limit: places, inFlight: places, queued: 0 })
      assert.lengthOf(upstream.calls, places)
      for (const call of calls) whole(call)
      for (const call of running) assert.strictEqual((yield* call.end).status, 200)
      yield* FaultServer.atRest(server)
    })
  )

  it.live("while it runs makes room for the one that waits", () =>
    Effect.gen(function* () {
      const { server, upstream } = yield* start(hang, {
        policies: { ...policies, bulkhead: { maxInFlight: 1, maxQueue: 4 } }
      })
      const one = yield* Client.open(server.url, { body: chat() })
      yield* upstream.nextCall
      const two = yield* Client.open(server.url, { body: chat() })
      yield* FaultServer.eventually(server.bulkhead("up"), ({ queued }) => queued === 1)
      const leftAt = yield* one.leave
      yield* upstream.nextCall
      assert.isAtMost(performance.now() - leftAt, jitterMs)
      yield* two.leave
      yield* FaultServer.atRest(server)
    })
  )

  it.live("in the pause before a retry: there is no retry", () =>
    Effect.gen(function* () {
      const { server, upstream } = yield* start(
        (call) => Answers.json(call, Answers.errorOf("later"), 429, { "retry-after-ms": "400" }),
        { policies: { ...policies, retry: { baseMs: 1 } } }
      )
      const took: Array<number> = []
      for (let i = 0; i < 3; i++) {
        const call = yield* Client.open(server.url, { body: chat(), headers: named })
        yield* upstream.nextCall
        // The pause holds no permit: the place is free already.
        yield* FaultServer.eventually(server.bulkhead("up"), ({ inFlight }) => inFlight === 0)
        assert.strictEqual(server.running.active(), 1)
        const leftAt = yield* call.leave
        yield* FaultServer.eventually(
          Effect.sync(() => server.running.active()),
          (active) => active === 0
        )
        took.push(performance.now() - leftAt)
      }
      assertPrompt("in the pause before a retry", took)
      // Longer than any of the pauses would have been.
      yield* Effect.sleep(500)
      assert.lengthOf(upstream.calls, 3)
      yield* FaultServer.atRest(server)
    })
  )

  it.live("all at once, in all states: nothing is left", () =>
    Effect.gen(function* () {
      const { server, upstream } = yield* start((call, index) => (index % 2 === 0 ? begin(call) : undefined))
      const calls = yield* Effect.all(
        Array.from({ length: 30 }, (_, index) => Client.open(server.url, { body: chat({ stream: index % 3 !== 0 }) }))
      )
      yield* upstream.nextCall
      yield* Effect.forEach(calls, (call) => call.leave)
      yield* FaultServer.atRest(server)
    })
  )
})

const post = (body: object): string => {
  const json = JSON.stringify(body)
  return `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: ${json.length}\r\n\r\n${json}`
}

/** A socket that sends a request and is half-closed at once when `until` has come. */
const halfClosing = (port: number, body: object, until: string) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly socket: Net.Socket; readonly atMs: number }>((resume) => {
      let text = ""
      const socket = Net.connect({ port, host: "127.0.0.1", allowHalfOpen: true }, () => {
        socket.write(post(body))
        if (until === "") socket.end(() => resume(Effect.succeed({ socket, atMs: performance.now() })))
      })
      socket.setEncoding("utf8")
      socket.on("error", () => {})
      socket.on("data", (part: string) => {
        const before = text.includes(until)
        text += part
        if (!before && text.includes(until)) {
          socket.end(() => resume(Effect.succeed({ socket, atMs: performance.now() })))
        }
      })
    }),
    ({ socket }) => Effect.sync(() => socket.destroy())
  )

describe("a client with two requests on one connection", { timeout: 20_000 }, () => {
  it.live("leaves both when it leaves, also the one whose answer has to wait for the other's", () =>
    Effect.gen(function* () {
      const { server, upstream } = yield* start(hang)
      const socket = yield* Effect.acquireRelease(
        Effect.sync(() => Net.connect(server.port, "127.0.0.1").on("error", () => {})),
        (each) => Effect.sync(() => each.destroy())
      )
      socket.write(post(chat()) + post(chat()))
      yield* upstream.nextCall
      yield* upstream.nextCall
      socket.destroy()
      const leftAt = performance.now()
      assertPrompt("pipelined", [(yield* upstream.nextClose) - leftAt, (yield* upstream.nextClose) - leftAt])
      yield* FaultServer.atRest(server)
    })
  )
})

/** Whoever sends FIN counts as gone, as with `node:http` itself: from here it cannot be told from a client that has left. */
describe("a client that half-closes", { timeout: 20_000 }, () => {
  it.live("in the middle of a stream counts as gone", () =>
    Effect.gen(function* () {
      const { server, upstream } = yield* start(begin)
      const { atMs } = yield* halfClosing(server.port, chat({ stream: true }), "first")
      assertPrompt("half-close mid-stream", [(yield* upstream.nextClose) - atMs])
      yield* FaultServer.atRest(server)
    })
  )

  it.live("before the first token counts as gone", () =>
    Effect.gen(function* () {
      const { server, upstream } = yield* start(hang)
      const { socket } = yield* halfClosing(server.port, chat(), "")
      yield* FaultServer.atRest(server)
      assert.isAtMost(upstream.calls.length, 1)
      socket.destroy()
    })
  )
})

/** About 8 KB of one chunk. */
const heavy = `data: ${JSON.stringify(Answers.chunk({ content: "x".repeat(8_000) }))}\n\n`

/** Writes for ever, as fast as it may; the result tells how many bytes it could hand over and whether it waits now. */
const flood = (call: ScriptedCall) => {
  const state = { bytes: 0, waiting: false, gone: false }
  call.response.writeHead(200, { "content-type": "text/event-stream" })
  const more = () => {
    state.waiting = false
    while (!state.gone) {
      state.bytes += heavy.length
      if (!call.response.write(heavy)) {
        state.waiting = true
        call.response.once("drain", more)
        return
      }
    }
  }
  call.response.on("close", () => {
    state.gone = true
  })
  more()
  return state
}

/** A raw client that reads nothing after the head of the answer. */
const stuck = (port: number) =>
  Effect.acquireRelease(
    Effect.callback<Net.Socket>((resume) => {
      const socket = Net.connect(port, "127.0.0.1", () => socket.write(post(chat({ stream: true }))))
      socket.on("error", () => {})
      socket.once("data", () => {
        socket.pause()
        resume(Effect.succeed(socket))
      })
    }),
    (socket) => Effect.sync(() => socket.destroy())
  )

describe("a client that does not read", { timeout: 20_000 }, () => {
  it.live("holds its provider back: what is buffered is bounded, and reading goes on where it stopped", () =>
    Effect.gen(function* () {
      let state: ReturnType<typeof flood> | undefined
      const { server, upstream } = yield* start((call) => {
        state = flood(call)
      })
      const socket = yield* stuck(server.port)
      // The provider is held back when what it could hand over has not changed for a while.
      const settled = yield* steady(() => state!.bytes)
      assert.isTrue(state!.waiting)
      // Four kernel buffers (up to 6 MB each on Linux) and ours; a flood without limits passes this in no time.
      assert.isBelow(settled, 32_000_000)
      socket.resume()
      yield* FaultServer.eventually(
        Effect.sync(() => state!.bytes),
        (bytes) => bytes > settled + 20_000_000
      )
      socket.destroy()
      yield* upstream.nextClose
      yield* FaultServer.atRest(server)
    })
  )

  it.live("costs the server no memory that grows with the stream", () =>
    Effect.gen(function* () {
      let state: ReturnType<typeof flood> | undefined
      const { server } = yield* start((call) => {
        state = flood(call)
      })
      const before = process.memoryUsage().arrayBuffers + process.memoryUsage().heapUsed
      yield* stuck(server.port)
      yield* steady(() => state!.bytes)
      const held = yield* server.bulkhead("up")
      assert.strictEqual(held.inFlight, 1)
      const after = process.memoryUsage().arrayBuffers + process.memoryUsage().heapUsed
      console.info(
        `a stuck client: ${((after - before) / 1e6).toFixed(1)} MB more, ${(state!.bytes / 1e6).toFixed(1)} MB sent`
      )
      // Garbage of the test itself included.
      assert.isBelow(after - before, 40_000_000)
    })
  )

  it.live("is cut after slowClientMs, and everything is back", () =>
    Effect.gen(function* () {
      const { server, upstream } = yield* start((call) => void flood(call), { server: { slowClientMs: 300 } })
      const socket = yield* stuck(server.port)
      const began = performance.now()
      const closedAt = yield* upstream.nextClose
      assert.isAtLeast(closedAt - began, 250)
      assert.isBelow(closedAt - began, 2_000)
      yield* FaultServer.atRest(server)
      socket.resume()
      yield* Effect.callback<void>((resume) => {
        if (socket.destroyed) resume(Effect.void)
        else socket.once("close", () => resume(Effect.void))
      })
    })
  )

  it.live("for less than slowClientMs at a time is not cut", () =>
    Effect.gen(function* () {
      const { server, upstream } = yield* start((call) => void flood(call), { server: { slowClientMs: 400 } })
      const socket = yield* stuck(server.port)
      for (let i = 0; i < 6; i++) {
        yield* Effect.sleep(150)
        socket.resume()
        yield* Effect.callback<void>((resume) => {
          let got = 0
          const onData = (part: Buffer) => {
            got += part.length
            // More than all the buffers on the way hold, so that the server could write again.
            if (got < 10_000_000) return
            socket.off("data", onData)
            socket.pause()
            resume(Effect.void)
          }
          socket.on("data", onData)
        })
      }
      assert.isFalse(socket.destroyed)
      socket.destroy()
      yield* upstream.nextClose
      yield* FaultServer.atRest(server)
    })
  )
})

/** The value once it has been the same for 150 ms. */
const steady = (read: () => number): Effect.Effect<number> =>
  Effect.gen(function* () {
    let value = read()
    let since = performance.now()
    for (;;) {
      yield* Effect.sleep(10)
      const next = read()
      if (next !== value) {
        value = next
        since = performance.now()
      } else if (performance.now() - since > 150) {
        return value
      }
    }
  })
