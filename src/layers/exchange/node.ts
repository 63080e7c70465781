/**
 * The hot routes over `node:http`: reads the bounded body, runs one fiber for
 * each request, and interrupts it the moment the client is gone. This file is
 * the boundary to Node's callbacks; nothing of Node leaves it.
 *
 * Tricky cases: a body over the limit is answered at once and the connection
 * closed, because the rest of it is still coming; a client that half-closes
 * counts as gone; a client that stops reading is cut after `slowClientMs`, also
 * when its answer is complete but for what it has not taken.
 */
import { isUtf8 } from "node:buffer"
import type { IncomingMessage, ServerResponse } from "node:http"
import { Effect, Result } from "effect"
import type { Context, Fiber } from "effect"
import { RequestError } from "../../domain/errors.ts"
import type { Exchange, Handler, HeaderList } from "../../services/exchange.ts"
import type { Timers } from "../../services/timers.ts"
import * as SlowClient from "./slow-client.ts"

/** Bounds of one exchange. */
export interface Options {
  /** Largest body in bytes. */
  readonly bodyLimitBytes: number
  /** How long a client may leave our bytes unread before it is cut off, in ms. */
  readonly slowClientMs: number
}

interface EdgeOptions {
  readonly limits: Options
  readonly timers: Timers["Service"]
  /** Whether connections end with their next response, as the server is on its way down. Asked when a response begins. */
  readonly closing?: () => boolean
}

/** The listener for the hot routes, and what is running on it. */
export interface Edge {
  /** Handle the request if `handlerOf` knows its route; `false` if it is somebody else's. */
  readonly handle: (request: IncomingMessage, response: ServerResponse) => boolean
  /** Requests being handled, up to the last byte of their answer. */
  readonly active: () => number
  /** Until nothing is being handled. */
  readonly idle: Effect.Effect<void>
  /** Interrupt everything that still runs. */
  readonly interruptAll: () => void
}

/** Build the edge. `handlerOf` is asked with method and path; the handlers run in `context`. */
export const make = <R>(
  options: EdgeOptions & {
    readonly context: Context.Context<R>
    readonly handlerOf: (method: string, path: string) => Handler<R> | undefined
  }
): Edge => {
  const { context, handlerOf, limits, timers } = options
  const running = new Set<Fiber.Fiber<void, unknown>>()
  const waiting: Array<() => void> = []
  const run = Effect.runForkWith(context)
  /** Answers that are complete but for what a slow client has not taken of them. */
  let leaving = 0

  const active = () => running.size + leaving
  const look = () => {
    if (active() === 0) for (const notify of waiting.splice(0)) notify()
  }
  const ended = (response: ServerResponse) => {
    if (response.writableLength > 0 && !response.destroyed) {
      leaving++
      response.once("close", () => {
        leaving--
        look()
      })
    } else {
      look()
    }
  }

  const start = (handler: Handler<R>, exchange: Exchange, response: ServerResponse) => {
    const fiber = run(handler(exchange))
    if (fiber.pollUnsafe() !== undefined) return ended(response)
    running.add(fiber)
    // `close` comes after a finished response too; then the fiber has ended or is about to.
    response.once("close", () => {
      if (!response.writableFinished) fiber.interruptUnsafe()
    })
    fiber.addObserver(() => {
      running.delete(fiber)
      ended(response)
    })
  }

  return {
    active,
    idle: Effect.callback((resume) => {
      const notify = () => resume(Effect.void)
      if (active() === 0) notify()
      else waiting.push(notify)
    }),
    interruptAll: () => {
      for (const fiber of running) fiber.interruptUnsafe()
    },
    handle: (request, response) => {
      const url = request.url ?? "/"
      const query = url.indexOf("?")
      const path = query === -1 ? url : url.slice(0, query)
      const method = request.method ?? "GET"
      const handler = handlerOf(method, path)
      if (handler === undefined) return false
      const startedAt = timers.now()
      const respondWith = (body: Exchange["body"]) =>
        start(handler, new NodeExchange(request, response, path, startedAt, body, options), response)
      readBody(request, response, limits.bodyLimitBytes, respondWith)
      return true
    }
  }
}

/** Collect the body; calls `done` once, unless the client leaves first. */
const readBody = (
  request: IncomingMessage,
  response: ServerResponse,
  limitBytes: number,
  done: (body: Exchange["body"]) => void
): void => {
  const tooLarge = () => {
    request.removeAllListeners("data")
    response.shouldKeepAlive = false
    done(Result.fail(new RequestError({ reason: { _tag: "BodyTooLarge", limitBytes } })))
    // Swallow what is still on its way, so that the client reads the answer before the connection closes.
    request.resume()
  }
  const declared = Number(request.headers["content-length"])
  if (declared > limitBytes) return tooLarge()
  let first: Buffer | undefined
  let more: Array<Buffer> | undefined
  let size = 0
  let refused = false
  request.on("data", (chunk: Buffer) => {
    if (refused) return
    size += chunk.length
    if (size > limitBytes) {
      refused = true
      tooLarge()
    } else if (first === undefined) {
      first = chunk
    } else {
      more ??= [first]
      more.push(chunk)
    }
  })
  request.on("end", () => {
    if (refused) return
    const bytes = more === undefined ? first : Buffer.concat(more, size)
    done(
      bytes === undefined
        ? Result.succeed("")
        : isUtf8(bytes)
          ? Result.succeed(bytes.toString("utf8"))
          : Result.fail(new RequestError({ reason: { _tag: "InvalidJson", detail: "it is not valid UTF-8" } }))
    )
  })
  // A client that leaves while it sends: Node destroys both sides, nothing has been started yet.
  request.on("error", () => {})
}

/** One exchange; a class, so that a request costs one object and no closures. */
class NodeExchange implements Exchange {
  readonly method: string
  readonly path: string
  readonly startedAt: number
  readonly body: Exchange["body"]
  private readonly request: IncomingMessage
  private readonly response: ServerResponse
  private readonly edge: EdgeOptions

  constructor(
    request: IncomingMessage,
    response: ServerResponse,
    path: string,
    startedAt: number,
    body: Exchange["body"],
    edge: EdgeOptions
  ) {
    this.method = request.method ?? "GET"
    this.path = path
    this.startedAt = startedAt
    this.body = body
    this.request = request
    this.response = response
    this.edge = edge
  }

  get address(): string | undefined {
    return this.request.socket.remoteAddress
  }

  header(name: string): string | undefined {
    const value = this.request.headers[name]
    return typeof value === "string" ? value : value?.[0]
  }

  respond(status: number, headers: HeaderList, body: string | Uint8Array): void {
    const { response } = this
    if (response.headersSent || response.destroyed) return
    // Bytes, not text: they go out in one vectored write with the head, and are not encoded again.
    const bytes = typeof body === "string" ? Buffer.from(body) : body
    headers.push("content-length", String(bytes.byteLength))
    if (this.edge.closing?.() === true) response.shouldKeepAlive = false
    response.writeHead(status, headers)
    response.end(bytes)
    this.leave()
  }

  begin(status: number, headers: HeaderList): void {
    if (this.edge.closing?.() === true) this.response.shouldKeepAlive = false
    this.response.writeHead(status, headers)
  }

  write(text: string): boolean {
    // What is written to a client that has left goes nowhere, and is not waited for.
    return this.response.destroyed || this.response.write(text)
  }

  get drained(): Effect.Effect<void> {
    const { edge, response } = this
    return Effect.callback<void>((resume) => {
      if (!response.writableNeedDrain) {
        resume(Effect.void)
        return
      }
      const stop = SlowClient.watch(response, edge.timers, edge.limits.slowClientMs)
      const onDrain = () => {
        stop()
        resume(Effect.void)
      }
      response.once("drain", onDrain)
      return Effect.sync(() => {
        stop()
        response.off("drain", onDrain)
      })
    })
  }

  end(): void {
    if (this.response.destroyed) return
    this.response.end()
    this.leave()
  }

  /** Nobody waits for a complete answer's last bytes any more, so that a client that takes none of them is looked after here. */
  private leave(): void {
    const { edge, response } = this
    // Without a socket it stands behind another answer on its connection, and whoever writes that one looks after it.
    if (response.socket === null || response.writableLength === 0) return
    response.once("close", SlowClient.watch(response, edge.timers, edge.limits.slowClientMs))
  }

  begun(): boolean {
    return this.response.headersSent
  }
}
