import * as Http from "node:http"
import * as Net from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Layer, Queue, Result } from "effect"
import * as NodeExchange from "../../../../src/layers/exchange/node.ts"
import * as TimersWheel from "../../../../src/layers/timers/wheel.ts"
import type { Exchange, Handler } from "../../../../src/services/exchange.ts"
import { Timers } from "../../../../src/services/timers.ts"
import * as Client from "../../../support/raw-client.ts"

const limits = { bodyLimitBytes: 64, slowClientMs: 200 }

/** An edge with one handler for `POST /here`, on a real socket. */
const start = (handler: Handler, options: { readonly closing?: () => boolean } = {}) =>
  Effect.gen(function* () {
    const context = yield* Layer.build(TimersWheel.layer)
    const edge = NodeExchange.make({
      limits,
      timers: Context.get(context, Timers),
      context,
      handlerOf: (method, path) => (method === "POST" && path === "/here" ? handler : undefined),
      ...options
    })
    const server = Http.createServer((request, response) => {
      if (!edge.handle(request, response)) response.writeHead(404).end("not mine")
    })
    yield* Effect.acquireRelease(
      Effect.callback<void>((resume) => void server.listen(0, "127.0.0.1", () => resume(Effect.void))),
      () =>
        Effect.callback<void>((resume) => {
          server.close(() => resume(Effect.void))
          server.closeAllConnections()
        })
    )
    const address = server.address()
    const port = typeof address === "object" ? (address?.port ?? 0) : 0
    return { edge, port, url: `http://127.0.0.1:${port}` }
  })

/** Answers with what it was given. */
const echo: Handler = (exchange) =>
  Effect.sync(() => {
    const { address, body, method, path } = exchange
    const got = Result.isSuccess(body) ? { text: body.success } : { error: body.failure.reason }
    exchange.respond(200, [], JSON.stringify({ method, path, address, header: exchange.header("x-a"), ...got }))
  })

const ask = (url: string, rest: Client.Ask = {}) => Client.send(url, { path: "/here", method: "POST", ...rest })
const got = (answer: Client.Answer) => JSON.parse(answer.text)

describe("a request", () => {
  it.live("is handed on with method, path without query, headers, address and body", () =>
    Effect.gen(function* () {
      const { url } = yield* start(echo)
      const answer = yield* ask(url, { path: "/here?a=1", body: "grüße", headers: { "X-A": "b" } })
      assert.deepStrictEqual(got(answer), {
        method: "POST",
        path: "/here",
        address: "127.0.0.1",
        header: "b",
        text: "grüße"
      })
      assert.strictEqual(answer.headers["content-length"], String(Buffer.byteLength(answer.text)))
    })
  )

  it.live("of another route or method is somebody else's", () =>
    Effect.gen(function* () {
      const { edge, url } = yield* start(echo)
      assert.strictEqual((yield* ask(url, { path: "/there" })).text, "not mine")
      assert.strictEqual((yield* ask(url, { method: "GET" })).text, "not mine")
      assert.strictEqual(edge.active(), 0)
    })
  )

  it.live("without a body has an empty one", () =>
    Effect.gen(function* () {
      const { url } = yield* start(echo)
      assert.strictEqual(got(yield* ask(url)).text, "")
    })
  )

  it.live("whose body comes in pieces that split a character is read whole", () =>
    Effect.gen(function* () {
      const { port } = yield* start(echo)
      const bytes = Buffer.from("aü€😀")
      const text = yield* Effect.callback<string>((resume) => {
        let received = ""
        const socket = Net.connect(port, "127.0.0.1", () => {
          socket.setNoDelay(true)
          socket.write("POST /here HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n")
          for (const byte of bytes)
            socket.write(Buffer.concat([Buffer.from("1\r\n"), Buffer.of(byte), Buffer.from("\r\n")]))
          socket.write("0\r\n\r\n")
        })
        socket.setEncoding("utf8")
        socket.on("data", (part: string) => {
          received += part
        })
        socket.on("close", () => resume(Effect.succeed(received)))
      })
      assert.strictEqual(got(Client.parseRaw(text)).text, "aü€😀")
    })
  )

  it.live("whose body is as long as the limit is read, and one byte more is refused", () =>
    Effect.gen(function* () {
      const { url } = yield* start(echo)
      assert.lengthOf(got(yield* ask(url, { body: "x".repeat(limits.bodyLimitBytes) })).text, limits.bodyLimitBytes)
      const refused = yield* ask(url, { body: "x".repeat(limits.bodyLimitBytes + 1) })
      assert.deepStrictEqual(got(refused).error, { _tag: "BodyTooLarge", limitBytes: limits.bodyLimitBytes })
      assert.strictEqual(refused.headers.connection, "close")
    })
  )

  it.live("whose body is no UTF-8 is refused, not mended", () =>
    Effect.gen(function* () {
      const { url } = yield* start(echo)
      const answer = yield* ask(url, { body: Buffer.from([0x22, 0xff, 0x22]) })
      assert.strictEqual(got(answer).error._tag, "InvalidJson")
    })
  )
})

describe("a response", () => {
  it.live("is sent once", () =>
    Effect.gen(function* () {
      const { url } = yield* start((exchange) =>
        Effect.sync(() => {
          assert.isFalse(exchange.begun())
          exchange.respond(201, ["x-b", "c"], "one")
          assert.isTrue(exchange.begun())
          exchange.respond(500, [], "two")
        })
      )
      const answer = yield* ask(url)
      assert.deepStrictEqual([answer.status, answer.headers["x-b"], answer.text], [201, "c", "one"])
    })
  )

  it.live("that is streamed arrives piece by piece", () =>
    Effect.gen(function* () {
      const goOn = yield* Deferred.make<void>()
      const { edge, url } = yield* start((exchange) =>
        Effect.gen(function* () {
          exchange.begin(200, ["content-type", "text/plain"])
          exchange.write("first ")
          yield* Deferred.await(goOn)
          exchange.write("second")
          exchange.end()
        })
      )
      const call = yield* Client.open(url, { path: "/here", method: "POST" })
      yield* call.until("first")
      assert.strictEqual(edge.active(), 1)
      yield* Deferred.succeed(goOn, undefined)
      assert.strictEqual((yield* call.end).text, "first second")
      yield* edge.idle
    })
  )

  it.live("ends its connection where the server is closing, also if that began after the request", () =>
    Effect.gen(function* () {
      let closing = false
      const { url } = yield* start(
        (exchange) =>
          Effect.sync(() => {
            closing = true
            exchange.respond(200, [], "")
          }),
        { closing: () => closing }
      )
      const agent = new Http.Agent({ keepAlive: true })
      assert.strictEqual((yield* ask(url, { agent })).headers.connection, "close")
      agent.destroy()
    })
  )
})

/** Writes until told to wait, waits, writes one more word and ends. */
const untilFull = (exchange: Exchange) =>
  Effect.gen(function* () {
    exchange.begin(200, [])
    while (exchange.write("x".repeat(65_536))) yield* Effect.void
    yield* exchange.drained
    exchange.write("more")
    exchange.end()
  })

const stuck = (port: number) =>
  Effect.acquireRelease(
    Effect.callback<Net.Socket>((resume) => {
      const socket = Net.connect(port, "127.0.0.1", () => {
        socket.write("POST /here HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
      })
      socket.on("error", () => {})
      socket.once("data", () => {
        socket.pause()
        resume(Effect.succeed(socket))
      })
    }),
    (socket) => Effect.sync(() => socket.destroy())
  )

describe("a slow client", () => {
  it.live("is waited for", () =>
    Effect.gen(function* () {
      const { edge, port } = yield* start(untilFull)
      const socket = yield* stuck(port)
      let last = ""
      const ended = Effect.callback<void>((resume) => {
        socket.on("data", (part: Buffer) => {
          last = part.toString("latin1")
        })
        socket.on("close", () => resume(Effect.void))
        socket.resume()
      })
      yield* ended
      assert.include(last, "more")
      yield* edge.idle
    })
  )

  it.live("is cut when it takes too long, and its handler is interrupted", () =>
    Effect.gen(function* () {
      const interrupted = yield* Deferred.make<number>()
      const { edge, port } = yield* start((exchange) =>
        Effect.gen(function* () {
          exchange.begin(200, [])
          for (;;) if (!exchange.write("x".repeat(65_536))) yield* exchange.drained
        }).pipe(Effect.onInterrupt(() => Deferred.succeed(interrupted, performance.now())))
      )
      yield* stuck(port)
      const began = performance.now()
      assert.isAtLeast((yield* Deferred.await(interrupted)) - began, limits.slowClientMs / 2)
      yield* edge.idle
    })
  )
})

/** More than all the kernel's buffers on the way hold. */
const large = "x".repeat(16_000_000)

describe("a complete answer", () => {
  it.live("that its client does not take is being handled until it is cut", () =>
    Effect.gen(function* () {
      const { edge, port } = yield* start((exchange) => Effect.sync(() => exchange.respond(200, [], large)))
      const socket = yield* stuck(port)
      const began = performance.now()
      assert.strictEqual(edge.active(), 1)
      yield* edge.idle
      assert.isAtLeast(performance.now() - began, limits.slowClientMs / 2)
      assert.strictEqual(edge.active(), 0)
      socket.resume()
      yield* Effect.callback<void>((resume) => {
        socket.on("close", () => resume(Effect.void))
      })
    })
  )

  it.live("that its client takes late is being handled to its last byte", () =>
    Effect.gen(function* () {
      const { edge, port } = yield* start((exchange) =>
        Effect.sync(() => {
          exchange.begin(200, [])
          exchange.write(large)
          exchange.end()
        })
      )
      const socket = yield* stuck(port)
      assert.strictEqual(edge.active(), 1)
      let last = ""
      const closed = Effect.callback<void>((resume) => {
        socket.on("data", (part: Buffer) => {
          last = part.toString("latin1")
        })
        socket.on("close", () => resume(Effect.void))
        socket.resume()
      })
      yield* closed
      assert.isTrue(last.endsWith("0\r\n\r\n"))
      yield* edge.idle
    })
  )

  it.live("that is taken at once is not waited for", () =>
    Effect.gen(function* () {
      const { edge, url } = yield* start((exchange) => Effect.sync(() => exchange.respond(200, [], "x")))
      const answer = yield* ask(url)
      assert.strictEqual(answer.text, "x")
      assert.strictEqual(edge.active(), 0)
    })
  )
})

describe("a client that leaves", () => {
  it.live("interrupts its handler", () =>
    Effect.gen(function* () {
      const began = yield* Queue.unbounded<void>()
      const interrupted = yield* Queue.unbounded<void>()
      const { edge, url } = yield* start(() =>
        Queue.offer(began, undefined).pipe(
          Effect.andThen(Effect.never),
          Effect.onInterrupt(() => Queue.offer(interrupted, undefined))
        )
      )
      const call = yield* Client.open(url, { path: "/here", body: "a" })
      yield* Queue.take(began)
      assert.strictEqual(edge.active(), 1)
      yield* call.leave
      yield* Queue.take(interrupted)
      yield* edge.idle
      assert.strictEqual(edge.active(), 0)
    })
  )

  it.live("is not written to, and nobody waits for it", () =>
    Effect.gen(function* () {
      const began = yield* Deferred.make<Exchange>()
      const done = yield* Deferred.make<boolean>()
      const { edge, url } = yield* start((exchange) =>
        Deferred.succeed(began, exchange).pipe(
          Effect.andThen(Effect.never),
          Effect.onInterrupt(() => {
            exchange.respond(200, [], "too late")
            const went = exchange.write("too late")
            exchange.end()
            return Deferred.succeed(done, went && !exchange.begun())
          })
        )
      )
      const call = yield* Client.open(url, { path: "/here", body: "a" })
      yield* Deferred.await(began)
      yield* call.leave
      assert.isTrue(yield* Deferred.await(done))
      yield* edge.idle
    })
  )
})

describe("the edge", () => {
  it.live("interrupts all, who may say a last word, and is idle then", () =>
    Effect.gen(function* () {
      const began = yield* Queue.unbounded<void>()
      const { edge, url } = yield* start((exchange) =>
        Effect.sync(() => exchange.begin(200, [])).pipe(
          Effect.andThen(Effect.sync(() => exchange.write("first "))),
          Effect.andThen(Queue.offer(began, undefined)),
          Effect.andThen(Effect.never),
          Effect.onInterrupt(() =>
            Effect.sync(() => {
              exchange.write("last")
              exchange.end()
            })
          )
        )
      )
      const calls = yield* Effect.all([
        Client.open(url, { path: "/here", body: "a" }),
        Client.open(url, { path: "/here", body: "b" })
      ])
      yield* Queue.take(began)
      yield* Queue.take(began)
      edge.interruptAll()
      yield* edge.idle
      for (const call of calls) assert.strictEqual((yield* call.end).text, "first last")
    })
  )

  it.live("is idle where nothing ever ran", () =>
    Effect.gen(function* () {
      const { edge } = yield* start(echo)
      yield* edge.idle
    })
  )
})
