/**
 * SIGTERM on a real process: no new work, running work finishes within its
 * grace, what is left is told so and cut, and the process ends well.
 */
import { Agent } from "node:http"
import * as Net from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import * as ChildServer from "../support/child-server.ts"
import * as FaultServer from "../support/fault-server.ts"
import * as Client from "../support/raw-client.ts"
import * as Upstream from "../support/scripted-upstream.ts"
import type { ScriptedCall } from "../support/scripted-upstream.ts"
import * as Answers from "../support/upstream-answers.ts"

const start = (handle: (call: ScriptedCall) => void, drainMs: number) =>
  Effect.gen(function* () {
    const upstream = yield* Upstream.start(handle)
    const server = yield* ChildServer.start({
      config: FaultServer.upstreamAt(upstream.origin, { server: { drainMs } }),
      env: { UP_KEY: FaultServer.upstreamKey }
    })
    return { upstream, server }
  })

const chat = (rest: object = {}) => ({ model: "m", messages: [{ role: "user", content: "Hi" }], ...rest })
const first = Answers.chunk({ role: "assistant", content: "first" })
const begin = (call: ScriptedCall): void => Answers.begin(call, [first])
const finish = ({ response }: ScriptedCall): void =>
  void response.end(`data: ${JSON.stringify(Answers.chunk({}, "stop"))}\n\ndata: [DONE]\n\n`)

/** Until `path` answers with another status than 200, or not at all. */
const off = (url: string, path: string) =>
  FaultServer.eventually(Client.send(url, { path }), ({ status }) => status !== 200)

const terminate = (server: ChildServer.ChildServer) =>
  Effect.sync(() => {
    server.process.kill("SIGTERM")
    return performance.now()
  })

/** That the port may be used again at once. */
const listenAgain = (port: number): Effect.Effect<void> =>
  Effect.callback((resume) => {
    const server = Net.createServer()
    server.on("error", (error) => resume(Effect.die(error)))
    server.listen(port, "127.0.0.1", () => server.close(() => resume(Effect.void)))
  })

describe("SIGTERM", { timeout: 30_000 }, () => {
  it.live("an idle server ends at once, with code 0, and its port is free", () =>
    Effect.gen(function* () {
      const { server } = yield* start(begin, 20_000)
      assert.strictEqual((yield* Client.send(server.url, { path: "/readyz" })).status, 200)
      assert.strictEqual((yield* Client.send(server.adminUrl, { path: "/readyz" })).status, 200)
      const at = yield* terminate(server)
      const { atMs, code } = yield* server.exit
      assert.strictEqual(code, 0, server.output())
      assert.isBelow(atMs - at, 2_000)
      yield* listenAgain(server.port)
    })
  )

  it.live("a stream that runs finishes; new work is refused meanwhile", () =>
    Effect.gen(function* () {
      const { server, upstream } = yield* start(begin, 20_000)
      const running = yield* Client.open(server.url, { body: chat({ stream: true }) })
      const call = yield* upstream.nextCall
      yield* running.until("first")
      yield* terminate(server)

      const ready = yield* off(server.adminUrl, "/readyz")
      assert.strictEqual(ready.status, 503, ready.text)
      assert.deepStrictEqual(JSON.parse(ready.text), { status: "draining" })
      // Alive as long as it works: an orchestrator must not kill it for draining.
      assert.strictEqual((yield* Client.send(server.adminUrl, { path: "/livez" })).status, 200)
      // The port stays open, so that whoever has not noticed yet is told, not reset.
      const late = yield* Client.send(server.url, { body: chat() })
      assert.strictEqual(late.status, 503, late.error)
      assert.strictEqual(JSON.parse(late.text).error.code, "shutting_down")
      assert.strictEqual(late.headers["x-should-retry"], "true")
      assert.strictEqual(late.headers.connection, "close")
      assert.strictEqual((yield* Client.send(server.url, { path: "/readyz" })).status, 503)

      finish(call)
      const answer = yield* running.end
      assert.strictEqual(answer.error, undefined)
      assert.strictEqual(Client.frames(answer.text).at(-1), "[DONE]")
      const { atMs, code } = yield* server.exit
      assert.strictEqual(code, 0, server.output())
      assert.isBelow(atMs - answer.endedAt, 2_000)
      assert.lengthOf(upstream.calls, 1)
      yield* listenAgain(server.port)
    })
  )

  it.live("an answer that is not streamed finishes too, and its connection is closed after it", () =>
    Effect.gen(function* () {
      const { server, upstream } = yield* start(() => {}, 20_000)
      const agent = new Agent({ keepAlive: true })
      const running = yield* Client.open(server.url, { body: chat(), agent })
      const call = yield* upstream.nextCall
      yield* terminate(server)
      yield* off(server.adminUrl, "/readyz")
      Answers.json(call, Answers.completion({ content: "hello" }))
      const answer = yield* running.end
      assert.strictEqual(answer.status, 200)
      const { atMs, code } = yield* server.exit
      agent.destroy()
      assert.strictEqual(code, 0)
      assert.isBelow(atMs - answer.endedAt, 2_000)
    })
  )

  it.live("work that comes over a kept connection is refused, and the client may try elsewhere", () =>
    Effect.gen(function* () {
      const { server, upstream } = yield* start(begin, 20_000)
      const running = yield* Client.open(server.url, { body: chat({ stream: true }) })
      const call = yield* upstream.nextCall
      yield* running.until("first")
      // Half a request before the signal, so that the connection is not idle when it comes.
      const body = JSON.stringify(chat())
      const socket = Net.connect(server.port, "127.0.0.1")
      const text = Effect.callback<string>((resume) => {
        let received = ""
        socket.setEncoding("utf8")
        socket.on("error", () => {})
        socket.on("data", (part: string) => {
          received += part
        })
        socket.on("close", () => resume(Effect.succeed(received)))
      })
      yield* Effect.callback<void>((resume) => {
        socket.write(`POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: ${body.length}\r\n\r\n{`, () =>
          resume(Effect.void)
        )
      })
      // Its head has been read when another connection has been served.
      yield* Client.send(server.url, { path: "/livez" })
      yield* terminate(server)
      yield* off(server.adminUrl, "/readyz")
      socket.write(body.slice(1))
      const answer = Client.parseRaw(yield* text)
      assert.strictEqual(answer.status, 503, answer.text)
      assert.strictEqual(JSON.parse(answer.text).error.code, "shutting_down")
      assert.strictEqual(answer.headers["x-should-retry"], "true")
      assert.isAtLeast(Number(answer.headers["retry-after-ms"]), 1)
      assert.strictEqual(answer.headers.connection, "close")
      finish(call)
      yield* running.end
      assert.strictEqual((yield* server.exit).code, 0)
      assert.lengthOf(upstream.calls, 1)
    })
  )

  it.live("connections that wait at the port when it closes are answered, not reset", () =>
    Effect.gen(function* () {
      const upstream = yield* Upstream.start(begin)
      const scope = yield* Scope.make()
      const server = yield* Scope.provide(FaultServer.start(FaultServer.upstreamAt(upstream.origin)), scope)
      // The kernel takes all of them at once; the server, in the same event loop, none before it is told to stop.
      const calls = yield* Effect.all(Array.from({ length: 40 }, () => Client.open(server.url, { body: chat() })))
      yield* Scope.close(scope, Exit.void)
      for (const call of calls) {
        const answer = yield* call.end
        assert.strictEqual(answer.status, 503, answer.error)
        assert.strictEqual(JSON.parse(answer.text).error.code, "shutting_down")
      }
      assert.lengthOf(upstream.calls, 0)
    })
  )

  it.live("an answer that is complete is not cut while its client takes it", () =>
    Effect.gen(function* () {
      // More than all the kernel's buffers on the way hold.
      const content = "x".repeat(16_000_000)
      const { server } = yield* start((call) => Answers.json(call, Answers.completion({ content })), 20_000)
      const running = yield* Client.open(server.url, { body: chat() })
      yield* running.head
      yield* running.reading(false)
      yield* terminate(server)
      yield* off(server.adminUrl, "/readyz")
      yield* running.reading(true)
      const answer = yield* running.end
      assert.strictEqual(answer.error, undefined)
      assert.isAbove(answer.text.length, content.length)
      assert.strictEqual((yield* server.exit).code, 0)
    })
  )

  it.live("a stream that is too long is told so and cut", () =>
    Effect.gen(function* () {
      const drainMs = 400
      const { server, upstream } = yield* start(begin, drainMs)
      const running = yield* Client.open(server.url, { body: chat({ stream: true }) })
      yield* upstream.nextCall
      yield* running.until("first")
      const at = yield* terminate(server)
      const answer = yield* running.end
      assert.isAtLeast(answer.endedAt - at, drainMs - 1)
      assert.isBelow(answer.endedAt - at, drainMs + 2_000)
      const last = Client.frames(answer.text).at(-1)!
      assert.strictEqual(JSON.parse(last).error.code, "shutting_down", answer.text)
      assert.strictEqual(JSON.parse(last).error.request_id, answer.headers["x-request-id"])
      assert.notInclude(answer.text, "[DONE]")
      // Told in words, so the message itself ends well.
      assert.isUndefined(answer.error)
      yield* upstream.nextClose
      const { atMs, code } = yield* server.exit
      assert.strictEqual(code, 0, server.output())
      assert.isBelow(atMs - at, drainMs + 3_000)
      yield* listenAgain(server.port)
    })
  )

  it.live("an answer that has not begun when the grace is over is refused, not dropped", () =>
    Effect.gen(function* () {
      const { server, upstream } = yield* start(() => {}, 300)
      const running = yield* Client.open(server.url, { body: chat() })
      yield* upstream.nextCall
      yield* terminate(server)
      const answer = yield* running.end
      assert.strictEqual(answer.status, 503, `${answer.error} ${answer.text}`)
      assert.strictEqual(JSON.parse(answer.text).error.code, "shutting_down")
      assert.strictEqual(answer.headers["x-should-retry"], "true")
      assert.strictEqual((yield* server.exit).code, 0)
    })
  )

  it.live("kept connections without a request do not hold it up", () =>
    Effect.gen(function* () {
      const { server } = yield* start((call) => Answers.json(call, Answers.completion({ content: "hello" })), 20_000)
      const agent = new Agent({ keepAlive: true, maxSockets: 3 })
      yield* Effect.all(
        Array.from({ length: 3 }, () => Client.send(server.url, { body: chat(), agent })),
        { concurrency: "unbounded" }
      )
      // One that never sent anything, and one in the middle of its head.
      const silent = [Net.connect(server.port, "127.0.0.1"), Net.connect(server.port, "127.0.0.1")]
      for (const socket of silent) socket.on("error", () => {})
      silent[1]?.write("POST /v1/chat")
      yield* Client.send(server.url, { path: "/livez" })
      const at = yield* terminate(server)
      const { atMs, code } = yield* server.exit
      agent.destroy()
      for (const socket of silent) socket.destroy()
      assert.strictEqual(code, 0, server.output())
      assert.isBelow(atMs - at, 2_000)
    })
  )

  it.live("a second signal does not wait", () =>
    Effect.gen(function* () {
      const { server, upstream } = yield* start(begin, 20_000)
      const running = yield* Client.open(server.url, { body: chat({ stream: true }) })
      yield* upstream.nextCall
      yield* running.until("first")
      yield* terminate(server)
      yield* off(server.adminUrl, "/readyz")
      const at = yield* terminate(server)
      const { atMs, code } = yield* server.exit
      assert.strictEqual(code, 130)
      assert.isBelow(atMs - at, 1_000)
    })
  )
})
