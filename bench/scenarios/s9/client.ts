/**
 * A client over `node:http`: streams or not, on a connection of its own or a kept one, and able to leave, to read slowly
 * and not to read at all. It checks that the chunks it gets are all there and in order.
 */
import * as http from "node:http"
import { sharedMs } from "./clock.ts"
import { indexOf, requestOf } from "./script.ts"
import type { Script } from "./script.ts"

/**
 * How a call ended for its client.
 *
 * - `complete`: all chunks and the end that goes with them
 * - `told`: a status other than 200, or an error event in the stream, with a code
 * - `clean`: the end of a complete answer, though it was not complete
 * - `lost`: the connection ended before the answer did
 * - `unsent`: no connection could be made, so the request cannot have been seen
 * - `left`: the client itself went away
 */
export type Ending = "complete" | "told" | "clean" | "lost" | "unsent" | "left"

export interface Seen {
  readonly id: string
  readonly sentAt: number
  readonly connectedAt: number | undefined
  readonly firstAt: number | undefined
  /** When bytes last came. */
  readonly lastAt: number
  readonly endedAt: number | undefined
  readonly ending: Ending | undefined
  readonly status: number | undefined
  /** The error's code, or Node's where the connection failed. */
  readonly code: string | undefined
  /** Whether a refusal says that the client may try again. */
  readonly mayRetry: boolean
  readonly bytes: number
  readonly chunks: number
  /** When each chunk came. */
  readonly arrivals: ReadonlyArray<number>
}

export interface Call {
  readonly seen: () => Seen
  readonly over: Promise<Seen>
  /** When the head of the answer is here, or the call is over. */
  readonly head: Promise<void>
  /** Close the connection, in order or with a reset; the result is when. */
  readonly leave: (reset: boolean) => number
  readonly pause: () => void
  readonly resume: () => void
}

export interface Ask {
  readonly url: string
  readonly model: string
  readonly stream: boolean
  readonly script: Script
  /** Kept connections; one of its own where missing. */
  readonly agent?: http.Agent
  /** Only count bytes: for floods. */
  readonly blind?: boolean
  /** Called with the size of each piece that comes. */
  readonly onData?: (bytes: number) => void
}

const codeOf = (error: Error): string => ("code" in error ? String(error.code) : error.message)

interface ErrorBody {
  readonly error?: { readonly code?: string }
}

const errorCode = (text: string): string | undefined => {
  try {
    return (JSON.parse(text) as ErrorBody).error?.code
  } catch {
    return undefined
  }
}

export const call = (ask: Ask): Call => {
  const { blind = false, script, stream } = ask
  let connectedAt: number | undefined
  let firstAt: number | undefined
  let lastAt = sharedMs()
  let endedAt: number | undefined
  let ending: Ending | undefined
  let status: number | undefined
  let code: string | undefined
  let mayRetry = false
  let bytes = 0
  let text = ""
  let next = 0
  let inOrder = true
  let finished = false
  let done = false
  let response: http.IncomingMessage | undefined
  const arrivals: Array<number> = []
  const sentAt = lastAt

  let resolveOver: (seen: Seen) => void
  let resolveHead: () => void
  const over = new Promise<Seen>((resolve) => {
    resolveOver = resolve
  })
  const headHere = new Promise<void>((resolve) => {
    resolveHead = resolve
  })
  const seen = (): Seen => ({
    id: script.id,
    sentAt,
    connectedAt,
    firstAt,
    lastAt,
    endedAt,
    ending,
    status,
    code,
    mayRetry,
    bytes,
    chunks: next,
    arrivals
  })
  const end = (how: Ending, why?: string): void => {
    if (ending !== undefined) return
    ending = how
    code ??= why
    endedAt = sharedMs()
    resolveHead()
    resolveOver(seen())
  }

  const readEvent = (data: string): void => {
    if (data === "[DONE]") {
      done = true
      return
    }
    const event = JSON.parse(data) as ErrorBody & {
      readonly choices?: ReadonlyArray<{ delta: { content?: string }; finish_reason: string | null }>
    }
    if (event.error !== undefined) {
      code = event.error.code ?? "unknown"
      return
    }
    const choice = event.choices?.[0]
    if (choice === undefined) return
    if (choice.finish_reason !== null) finished = true
    if (typeof choice.delta.content !== "string") return
    if (indexOf(choice.delta.content) !== next) inOrder = false
    next++
    arrivals.push(lastAt)
  }

  const onText = (part: string): void => {
    lastAt = sharedMs()
    firstAt ??= lastAt
    bytes += part.length
    ask.onData?.(part.length)
    if (blind) return
    text += part
    if (!stream || status !== 200) return
    for (let at = text.indexOf("\n\n"); at >= 0; at = text.indexOf("\n\n")) {
      readEvent(text.slice(text.indexOf(": ") + 2, at))
      text = text.slice(at + 2)
    }
  }

  const onEnd = (complete: boolean): void => {
    if (code !== undefined) return end("told")
    if (status !== undefined && status !== 200) {
      code = errorCode(text)
      return end(complete && code !== undefined ? "told" : "lost", `status ${status}`)
    }
    if (!complete) return end("lost", "incomplete")
    if (stream) return end(done && finished && inOrder && next === script.chunks ? "complete" : "clean")
    return end(text.includes('"finish_reason":"stop"') && text.endsWith("}") ? "complete" : "clean")
  }

  const request = http.request(`${ask.url}/v1/chat/completions`, {
    method: "POST",
    agent: ask.agent ?? false,
    headers: { "content-type": "application/json" }
  })
  request.on("socket", (socket) => {
    if (socket.connecting) {
      socket.once("connect", () => {
        connectedAt = sharedMs()
      })
    } else {
      connectedAt = sharedMs()
    }
  })
  request.on("error", (error) => {
    end(connectedAt === undefined ? "unsent" : "lost", codeOf(error))
  })
  request.on("response", (incoming) => {
    response = incoming
    status = incoming.statusCode
    mayRetry = incoming.headers["x-should-retry"] === "true"
    incoming.setEncoding("latin1")
    incoming.on("data", onText)
    incoming.on("error", () => undefined)
    incoming.on("close", () => onEnd(incoming.complete))
    resolveHead()
  })
  request.end(requestOf(ask.model, stream, script))

  return {
    seen,
    over,
    head: headHere,
    leave: (reset) => {
      if (ending !== undefined) return endedAt ?? 0
      const at = sharedMs()
      if (reset && request.socket !== null) request.socket.resetAndDestroy()
      else request.destroy()
      end("left")
      return at
    },
    pause: () => void response?.pause(),
    resume: () => void response?.resume()
  }
}
