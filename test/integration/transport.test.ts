// The undici transport over real sockets: what the server sees when a call is given up, cut or done.
import { createServer } from "node:net"
import type { AddressInfo } from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber, Layer, Scope, Stream } from "effect"
import * as Candidate from "../../src/domain/candidate.ts"
import { openaiCompatible } from "../../src/layers/provider/openai.ts"
import * as TimersWheel from "../../src/layers/timers/wheel.ts"
import * as Undici from "../../src/layers/transport/undici.ts"
import type { OpenRequest } from "../../src/services/provider.ts"
import { Timers } from "../../src/services/timers.ts"
import { Transport } from "../../src/services/transport.ts"
import type { TransportError, TransportRequest } from "../../src/services/transport.ts"
import * as Server from "../support/scripted-upstream.ts"

const post = (origin: string, body = "{}"): TransportRequest => ({
  method: "POST",
  origin,
  path: "/v1/chat/completions",
  headers: ["content-type", "application/json"],
  body
})

const reasonOf = (exit: Exit.Exit<unknown, TransportError | Cause.Done>): string => {
  if (!Exit.isFailure(exit)) return "success"
  const error = Cause.squash(exit.cause)
  return error instanceof Error && "reason" in error ? (error as TransportError).reason._tag : String(error)
}

/** Runs a call in a fiber with a scope of its own, so that a test can give it up. */
const inScope = <A, E>(self: Effect.Effect<A, E, Scope.Scope>) =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    const fiber = yield* Effect.forkChild(Effect.provideService(self, Scope.Scope, scope), { startImmediately: true })
    return { fiber, close: Scope.close(scope, Exit.void) }
  })

/** undici frees a connection one turn of the event loop after its answer, in case the server hangs up behind it. */
const nextTurns = Effect.callback<void>((resume) => {
  setImmediate(() => setImmediate(() => resume(Effect.void)))
})

const withTransport = <A, E>(self: Effect.Effect<A, E, Transport | Scope.Scope>) =>
  Effect.scoped(Effect.provide(self, Undici.layer()))

const request = (overrides: Partial<OpenRequest> = {}): OpenRequest => ({
  chat: { model: "m", messages: [{ role: "user", content: "hi" }], stream: true },
  body: undefined,
  includeUsage: false,
  deadlineMs: Infinity,
  traceparent: undefined,
  ...overrides
})
const candidate: Candidate.Candidate = { provider: "p", model: "m" }
const chunk = (text: string) =>
  `data: ${JSON.stringify({ id: "c", object: "chat.completion.chunk", created: 1, model: "m", choices: [{ index: 0, delta: { content: text } }] })}\n\n`
const sseHead = { "content-type": "text/event-stream" }

describe("undici transport", () => {
  it.live("gives status, headers and the whole body, and uses the connection again", () =>
    withTransport(
      Effect.gen(function* () {
        const server = yield* Server.start(({ body, response }) => {
          response.setHeader("x-twice", ["a", "b"])
          response.end(`got ${body} ü`)
        })
        const transport = yield* Transport
        for (const body of ["1", "2", "3"]) {
          const text = yield* Effect.scoped(
            Effect.gen(function* () {
              const response = yield* transport.send(post(server.origin, body))
              assert.strictEqual(response.status, 200)
              assert.strictEqual(response.header("x-twice"), "a, b")
              assert.strictEqual(response.header("x-none"), undefined)
              return yield* response.text(1_000)
            })
          )
          assert.strictEqual(text, `got ${body} ü`)
          yield* nextTurns
        }
        assert.strictEqual(server.connections(), 1)
        assert.strictEqual(server.calls[0]?.request.headers["content-length"], "1")
      })
    )
  )

  it.live("closes the server's socket within 100 ms when interrupted before headers", () =>
    withTransport(
      Effect.gen(function* () {
        const server = yield* Server.start(() => {})
        const transport = yield* Transport
        const { fiber } = yield* inScope(transport.send(post(server.origin)))
        yield* server.nextCall
        const at = performance.now()
        yield* Fiber.interrupt(fiber)
        assert.isBelow((yield* server.nextClose) - at, 100)
      })
    )
  )

  it.live("closes the server's socket within 100 ms when the scope closes mid-stream", () =>
    withTransport(
      Effect.gen(function* () {
        const server = yield* Server.start(({ response }) => {
          response.writeHead(200, sseHead)
          response.write("first")
        })
        const transport = yield* Transport
        const { close, fiber } = yield* inScope(Effect.flatMap(transport.send(post(server.origin)), (r) => r.pull))
        const [bytes] = yield* Fiber.join(fiber)
        assert.strictEqual(Buffer.from(bytes).toString(), "first")
        const at = performance.now()
        yield* close
        assert.isBelow((yield* server.nextClose) - at, 100)
      })
    )
  )

  it.live("closes the socket when the scope closes after headers, before any byte of the body", () =>
    withTransport(
      Effect.gen(function* () {
        const server = yield* Server.start(({ response }) => {
          response.writeHead(200, sseHead)
          response.flushHeaders()
        })
        const transport = yield* Transport
        const { close, fiber } = yield* inScope(transport.send(post(server.origin)))
        const response = yield* Fiber.join(fiber)
        const waiting = yield* Effect.forkChild(response.text(100), { startImmediately: true })
        yield* Fiber.interrupt(waiting)
        const at = performance.now()
        yield* close
        assert.isBelow((yield* server.nextClose) - at, 100)
      })
    )
  )

  it.live("never sends a request that was given up while it waited for a connection", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const server = yield* Server.start(({ response }, index) => {
          if (index > 0) response.end("other")
        })
        const transport = yield* Transport
        const first = yield* inScope(Effect.flatMap(transport.send(post(server.origin, "1")), (r) => r.text(100)))
        yield* server.nextCall
        const second = yield* inScope(transport.send(post(server.origin, "2")))
        yield* Fiber.interrupt(second.fiber)
        server.calls[0]?.response.end("one")
        assert.strictEqual(yield* Fiber.join(first.fiber), "one")
        yield* first.close
        const third = yield* Effect.scoped(Effect.flatMap(transport.send(post(server.origin, "3")), (r) => r.text(100)))
        assert.strictEqual(third, "other")
        assert.deepStrictEqual(
          server.calls.map((call) => call.body),
          ["1", "3"]
        )
      }).pipe(Effect.provide(Undici.layer({ connections: 1 })))
    )
  )

  it.live("says that nothing listens, and does not throw for a header that cannot be sent", () =>
    withTransport(
      Effect.gen(function* () {
        const transport = yield* Transport
        const free = yield* Effect.callback<number>((resume) => {
          const probe = createServer().listen(0, "127.0.0.1", () => {
            const { port } = probe.address() as AddressInfo
            probe.close(() => resume(Effect.succeed(port)))
          })
        })
        const error = yield* Effect.flip(transport.send(post(`http://127.0.0.1:${free}`)))
        assert.deepInclude(error.reason, { _tag: "Unreachable", refused: true })
        const bad = yield* Effect.exit(transport.send({ ...post(`http://127.0.0.1:${free}`), headers: ["a b", "c"] }))
        assert.strictEqual(reasonOf(bad), "Unreachable")
      })
    )
  )

  it.live("fails with Closed when the server hangs up before headers and inside the body", () =>
    withTransport(
      Effect.gen(function* () {
        const server = yield* Server.start(({ response, socket }, index) => {
          if (index === 0) socket.destroy()
          else {
            response.writeHead(200, { "content-length": "100" })
            response.write("part", () => socket.destroy())
          }
        })
        const transport = yield* Transport
        assert.strictEqual(reasonOf(yield* Effect.exit(transport.send(post(server.origin)))), "Closed")
        const response = yield* transport.send(post(server.origin))
        assert.strictEqual(reasonOf(yield* Effect.exit(response.text(1_000))), "Closed")
      })
    )
  )

  it.live("refuses a body over the limit, announced or not, and gives the connection up", () =>
    withTransport(
      Effect.gen(function* () {
        const server = yield* Server.start(({ response }, index) => {
          if (index === 0) response.end("x".repeat(1_000))
          else {
            response.write("x".repeat(600))
            response.write("x".repeat(600))
          }
        })
        const transport = yield* Transport
        for (let i = 0; i < 2; i++) {
          const exit = yield* Effect.exit(
            Effect.scoped(Effect.flatMap(transport.send(post(server.origin)), (r) => r.text(999)))
          )
          assert.strictEqual(reasonOf(exit), "TooLarge")
        }
        yield* server.nextClose
      })
    )
  )

  it.live("reads a body far over the high-water mark as text", () =>
    withTransport(
      Effect.gen(function* () {
        const server = yield* Server.start(({ response }) => response.end("y".repeat(1_000_000)))
        const transport = yield* Transport
        const response = yield* transport.send(post(server.origin))
        assert.strictEqual((yield* response.text(1_000_000)).length, 1_000_000)
      })
    )
  )

  it.live("holds a fast server back while nobody pulls, and loses nothing", () =>
    withTransport(
      Effect.gen(function* () {
        const total = 64 * 1_048_576
        const block = Buffer.alloc(262_144, 1)
        let written = 0
        const stalled = yield* Deferred.make<void>()
        const server = yield* Server.start(({ response, socket }) => {
          response.writeHead(200)
          const write = (): void => {
            while (written < total) {
              written += block.length
              if (!response.write(block)) {
                response.once("drain", write)
                break
              }
            }
            if (written >= total) response.end()
          }
          write()
          // The kernel's buffers are full when the server's own queue no longer shrinks for a while.
          let before = -1
          const poll = setInterval(() => {
            const waiting = socket.writableLength
            if (waiting > 0 && written === before) {
              clearInterval(poll)
              Deferred.doneUnsafe(stalled, Effect.void)
            }
            before = written
          }, 50)
        })
        const transport = yield* Transport
        const response = yield* transport.send(post(server.origin))
        yield* Deferred.await(stalled)
        assert.isBelow(written, total / 2)
        let read = 0
        yield* Effect.forever(
          Effect.map(response.pull, (chunks) => {
            for (const bytes of chunks) read += bytes.length
          })
        ).pipe(Effect.catchIf(Cause.isDone, () => Effect.void))
        assert.strictEqual(read, total)
      })
    )
  )
})

const upstreamOf = (origin: string) => openaiCompatible({ baseUrl: `${origin}/v1` })

describe("openai adapter over real sockets", () => {
  it.live("streams, and uses the connection again although the body ends after [DONE]", () =>
    withTransport(
      Effect.gen(function* () {
        const server = yield* Server.start(({ response }) => {
          response.writeHead(200, sseHead)
          response.write(chunk("a"))
          response.write(`${chunk("b")}data: [DONE]\n\n`)
        })
        const upstream = yield* upstreamOf(server.origin)
        const once = Effect.scoped(
          Effect.gen(function* () {
            const completion = yield* upstream.open(candidate, request())
            const rest = yield* Stream.runCollect(completion.rest)
            return 1 + rest.length
          })
        )
        for (let i = 0; i < 3; i++) {
          assert.strictEqual(yield* once, 2)
          // The answer's scope is closed, and only now the server ends its body.
          const ended = Effect.callback<void>((resume) => {
            server.calls[i]?.response.end(() => resume(Effect.void))
          })
          yield* ended
          yield* Effect.repeat(nextTurns, { times: 20 })
        }
        assert.strictEqual(server.connections(), 1)
      })
    )
  )

  it.live("aborts a finished call whose body never ends", () =>
    withTransport(
      Effect.gen(function* () {
        const server = yield* Server.start(({ response }) => {
          response.writeHead(200, sseHead)
          response.write(`${chunk("a")}data: [DONE]\n\n`)
        })
        const upstream = yield* upstreamOf(server.origin)
        yield* Effect.scoped(Effect.flatMap(upstream.open(candidate, request()), (c) => Stream.runDrain(c.rest)))
        const at = performance.now()
        assert.isBelow((yield* server.nextClose) - at, 2_500)
      })
    )
  )

  it.live("reports a stream that is cut as Truncated, after what came before", () =>
    withTransport(
      Effect.gen(function* () {
        const server = yield* Server.start(({ response, socket }) => {
          response.writeHead(200, sseHead)
          response.write(chunk("a"))
          response.write(chunk("b"), () => socket.destroy())
        })
        const upstream = yield* upstreamOf(server.origin)
        const completion = yield* upstream.open(candidate, request())
        const seen: Array<string> = []
        const error = yield* Effect.flip(
          Stream.runForEach(completion.rest, (event) => Effect.sync(() => seen.push(event.data)))
        )
        assert.strictEqual(error.reason._tag, "Truncated")
        assert.strictEqual(seen.length, 1)
      })
    )
  )

  it.live("closes the server's socket within 100 ms when the client leaves mid-stream", () =>
    withTransport(
      Effect.gen(function* () {
        const server = yield* Server.start(({ response }) => {
          response.writeHead(200, sseHead)
          response.write(chunk("a"))
        })
        const upstream = yield* upstreamOf(server.origin)
        const first = yield* Deferred.make<void>()
        const fiber = yield* Effect.forkChild(
          Effect.scoped(
            Effect.gen(function* () {
              const completion = yield* upstream.open(candidate, request())
              yield* Deferred.succeed(first, undefined)
              yield* Stream.runDrain(completion.rest)
            })
          )
        )
        yield* Deferred.await(first)
        const at = performance.now()
        yield* Fiber.interrupt(fiber)
        assert.isBelow((yield* server.nextClose) - at, 100)
      })
    )
  )

  it.live("is Unreachable where nothing listens, before a hang-up too", () =>
    withTransport(
      Effect.gen(function* () {
        const server = yield* Server.start(({ socket }) => socket.destroy())
        const upstream = yield* upstreamOf(server.origin)
        const error = yield* Effect.flip(upstream.open(candidate, request()))
        assert.strictEqual(error.reason._tag, "Unreachable")
      })
    )
  )

  describe("keeps the bounds of its calls", () => {
    const timed = Layer.provideMerge(
      Layer.unwrap(Effect.map(Timers, (timers) => Undici.layer({ timers }))),
      TimersWheel.layer
    )
    const bounds = (firstMs: number, idleMs: number, streamMs: number) => {
      const now = Date.now()
      return { firstAtMs: now + firstMs, idleMs, endsAtMs: now + streamMs }
    }
    /** The failure of a stream of which the server sends `sent` and then nothing, and whether the server saw the end. */
    const cut = (sent: ReadonlyArray<string>, limits: ReturnType<typeof bounds>, everyMs = 0) =>
      Effect.gen(function* () {
        const server = yield* Server.start(({ response }) => {
          if (sent.length === 0) return
          response.writeHead(200, sseHead)
          response.write(sent[0])
          const more = setInterval(() => response.write(sent[0]), everyMs || 1e6)
          response.on("close", () => clearInterval(more))
        })
        const upstream = yield* openaiCompatible({ baseUrl: `${server.origin}/v1` })
        assert.isTrue(upstream.bounded?.(candidate))
        const error = yield* Effect.scoped(
          Effect.flatMap(upstream.open(candidate, request({ bounds: limits })), ({ rest }) => Stream.runDrain(rest))
        ).pipe(Effect.flip)
        yield* server.nextClose
        return error.reason
      }).pipe(Effect.scoped, Effect.provide(timed))

    it.live("to the first token", () =>
      Effect.gen(function* () {
        const reason = yield* cut([], bounds(60, 10_000, 10_000))
        assert.deepInclude(reason, { _tag: "Timeout", phase: "first token" })
      })
    )

    it.live("between two chunks", () =>
      Effect.gen(function* () {
        const reason = yield* cut([chunk("a")], bounds(5_000, 60, 10_000))
        assert.deepInclude(reason, { _tag: "Timeout", phase: "idle", afterMs: 60 })
      })
    )

    it.live("and in all, however steadily it drips", () =>
      Effect.gen(function* () {
        const reason = yield* cut([chunk("a")], bounds(5_000, 10_000, 150), 10)
        assert.deepInclude(reason, { _tag: "Timeout", phase: "total" })
      })
    )
  })
})
