/**
 * A real HTTP server on loopback, scripted by each test, that tells when its
 * side of a connection was closed.
 */
import { createServer } from "node:http"
import type { IncomingMessage, ServerResponse } from "node:http"
import type { AddressInfo, Socket } from "node:net"
import { Effect, Queue } from "effect"
import type { Scope } from "effect"

/** A request as it arrived, and its answer to be written. */
export interface ScriptedCall {
  readonly request: IncomingMessage
  readonly body: string
  readonly response: ServerResponse
  readonly socket: Socket
}

export interface ScriptedUpstream {
  /** `http://127.0.0.1:PORT` */
  readonly origin: string
  readonly calls: Array<ScriptedCall>
  /** Connections accepted up to now. */
  readonly connections: () => number
  /** The next call that has arrived and whose handler has run. */
  readonly nextCall: Effect.Effect<ScriptedCall>
  /** The next connection that was closed; the value is `performance.now()` of that moment. */
  readonly nextClose: Effect.Effect<number>
}

/** Start a server that runs `handle` for each request; it is gone with the scope. */
export const start = (
  handle: (call: ScriptedCall, index: number) => void
): Effect.Effect<ScriptedUpstream, never, Scope.Scope> =>
  Effect.gen(function* () {
    const arrived = yield* Queue.unbounded<ScriptedCall>()
    const closed = yield* Queue.unbounded<number>()
    const calls: Array<ScriptedCall> = []
    let connections = 0
    const server = createServer((request, response) => {
      const parts: Array<Buffer> = []
      request.on("data", (part: Buffer) => parts.push(part))
      request.on("end", () => {
        const call: ScriptedCall = {
          request,
          response,
          socket: request.socket,
          body: Buffer.concat(parts).toString("utf8")
        }
        calls.push(call)
        handle(call, calls.length - 1)
        Queue.offerUnsafe(arrived, call)
      })
    })
    server.on("connection", (socket) => {
      connections++
      socket.on("error", () => {})
      socket.on("close", () => Queue.offerUnsafe(closed, performance.now()))
    })
    yield* Effect.acquireRelease(
      Effect.callback<void>((resume) => {
        server.listen(0, "127.0.0.1", () => resume(Effect.void))
      }),
      () =>
        Effect.callback<void>((resume) => {
          server.close(() => resume(Effect.void))
          server.closeAllConnections()
        })
    )
    // A TCP server that listens has an address of this kind.
    const { port } = server.address() as AddressInfo
    return {
      origin: `http://127.0.0.1:${port}`,
      calls,
      connections: () => connections,
      nextCall: Queue.take(arrived),
      nextClose: Queue.take(closed)
    }
  })
