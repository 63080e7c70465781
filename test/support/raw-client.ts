/**
 * An HTTP client that shows what is on the wire, half answers too, and that can
 * leave, pause or half-close whenever a test wants it to.
 */
import { request } from "node:http"
import type { Agent, ClientRequest, IncomingHttpHeaders, IncomingMessage } from "node:http"
import * as Net from "node:net"
import { Effect } from "effect"
import type { Scope } from "effect"

/** What came; `error` is set where the connection ended before the answer did. `endedAt` is `performance.now()`. */
export interface Answer {
  readonly status: number | undefined
  readonly headers: IncomingHttpHeaders
  readonly text: string
  readonly error: string | undefined
  readonly endedAt: number
}

export interface Ask {
  /** `POST` where there is a body. */
  readonly method?: string
  readonly path?: string
  /** Text and bytes are sent as they are, everything else as JSON. */
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string | number>>
  /** A connection of its own where missing. */
  readonly agent?: Agent
}

/** A call under way. */
export interface Call {
  readonly request: ClientRequest
  /** The answer's status and headers. */
  readonly head: Effect.Effect<Answer>
  /** Until the text so far contains `part`, or the answer is over. */
  readonly until: (part: string) => Effect.Effect<Answer>
  readonly end: Effect.Effect<Answer>
  /** Destroy the connection; the result is the `performance.now()` of it. */
  readonly leave: Effect.Effect<number>
  /** Stop or go on reading. Only once the head is here. */
  readonly reading: (on: boolean) => Effect.Effect<void>
}

const bodyOf = (body: unknown): string | Uint8Array | undefined =>
  body === undefined || typeof body === "string" || body instanceof Uint8Array ? body : JSON.stringify(body)

/** Begin a call; it is gone with the scope. */
export const open = (url: string, ask: Ask = {}): Effect.Effect<Call, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => begin(url, ask)),
    (call) => call.leave
  )

/** A whole call. */
export const send = (url: string, ask: Ask = {}): Effect.Effect<Answer> =>
  Effect.scoped(Effect.flatMap(open(url, ask), (call) => call.end))

const codeOf = (cause: Error) => ("code" in cause ? String(cause.code) : cause.message)

const begin = (url: string, ask: Ask): Call => {
  const body = bodyOf(ask.body)
  let response: IncomingMessage | undefined
  let text = ""
  let error: string | undefined
  let endedAt = 0
  const waits = new Set<() => void>()
  const look = () => {
    for (const wait of waits) wait()
  }
  const over = (reason?: string) => {
    if (endedAt === 0) {
      endedAt = performance.now()
      error = reason
    }
    look()
  }
  const answer = (): Answer => ({
    status: response?.statusCode,
    headers: response?.headers ?? {},
    text,
    error,
    endedAt
  })
  const when = (ok: () => boolean): Effect.Effect<Answer> =>
    Effect.callback((resume) => {
      const wait = () => {
        if (!ok() && endedAt === 0) return
        waits.delete(wait)
        resume(Effect.sync(answer))
      }
      waits.add(wait)
      wait()
      return Effect.sync(() => waits.delete(wait))
    })
  const outgoing = request(`${url}${ask.path ?? "/v1/chat/completions"}`, {
    method: ask.method ?? (body === undefined ? "GET" : "POST"),
    agent: ask.agent ?? false,
    headers: { "content-type": "application/json", ...ask.headers }
  })
  outgoing.on("error", (cause) => over(codeOf(cause)))
  outgoing.on("response", (incoming) => {
    response = incoming
    incoming.setEncoding("utf8")
    incoming.on("data", (part: string) => {
      text += part
      look()
    })
    incoming.on("error", (cause) => over(codeOf(cause)))
    incoming.on("end", () => over(incoming.complete ? undefined : "incomplete"))
    look()
  })
  outgoing.end(body)
  return {
    request: outgoing,
    head: when(() => response !== undefined),
    until: (part) => when(() => text.includes(part)),
    end: when(() => false),
    leave: Effect.sync(() => {
      outgoing.destroy()
      return performance.now()
    }),
    reading: (on) =>
      Effect.sync(() => {
        if (on) response?.resume()
        else response?.pause()
      })
  }
}

/** Send bytes as they are over a connection of its own; everything that comes back until the server closes it. */
export const raw = (port: number, ...parts: ReadonlyArray<string | Uint8Array>): Effect.Effect<string> =>
  Effect.callback((resume) => {
    let text = ""
    const socket = Net.connect(port, "127.0.0.1", () => {
      for (const part of parts) socket.write(part)
    })
    socket.setEncoding("utf8")
    socket.on("data", (part: string) => {
      text += part
    })
    socket.on("error", () => {})
    socket.on("close", () => resume(Effect.succeed(text)))
    return Effect.sync(() => socket.destroy())
  })

/** A raw HTTP/1.1 answer, taken apart. */
export const parseRaw = (text: string): Answer => {
  const [head = "", body = ""] = text.split(/\r\n\r\n(.*)/su)
  const [status, ...lines] = head.split("\r\n")
  const headers = Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf(":")).toLowerCase(), line.slice(line.indexOf(":") + 1).trim()])
  )
  return { status: Number(status?.split(" ")[1]), headers, text: body, error: undefined, endedAt: performance.now() }
}

/** The `data:` of each frame of a stream. */
export const frames = (text: string): ReadonlyArray<string> =>
  text
    .split("\n\n")
    .filter((each) => each !== "")
    .map((each) => each.replace(/^data: /u, ""))
