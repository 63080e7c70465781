/**
 * The upstream: an OpenAI-compatible chat server in a process of its own that does what the script in the prompt says
 * and keeps a record of each call: when each chunk went out, and when the other side closed the connection. Speaks a
 * hand-made minimum of HTTP/1.1 on raw sockets, so that its own work delays nothing. Ends when its parent does.
 */
import * as net from "node:net"
import { serveParent } from "../../child/ipc.ts"
import { sharedMs } from "./clock.ts"
import { parse, textOf } from "./script.ts"
import type { CallRecord, Script } from "./script.ts"
import * as Stalls from "./stalls.ts"

const headEnd = Buffer.from("\r\n\r\n")
const frame = (text: string): string => `${text.length.toString(16)}\r\n${text}\r\n`
const head = (type: string): string =>
  `HTTP/1.1 200 OK\r\ncontent-type: ${type}\r\nx-request-id: req_s9\r\ntransfer-encoding: chunked\r\n\r\n`

const base = { id: "chatcmpl-s9", object: "chat.completion.chunk", created: 1_760_000_000, model: "s9" }
const event = (delta: object, finish: string | null): string =>
  `data: ${JSON.stringify({ ...base, choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`
const usage = (chunks: number) => ({ prompt_tokens: 20, completion_tokens: chunks, total_tokens: 20 + chunks })
const tail = (chunks: number): string =>
  `${event({}, "stop")}data: ${JSON.stringify({ ...base, choices: [], usage: usage(chunks) })}\n\ndata: [DONE]\n\n`

const whole = (script: Script): string =>
  JSON.stringify({
    ...base,
    object: "chat.completion",
    choices: [
      {
        index: 0,
        message: { role: "assistant", content: textOf(0, script.chars) },
        logprobs: null,
        finish_reason: "stop"
      }
    ],
    usage: usage(script.chunks)
  })

/** Most bytes of a flood in one turn of the loop, so that paced calls keep their pace beside it. */
const turnBytes = 262_144

/** One call, from its request to its end. */
class Call {
  readonly id: string
  readonly streamed: boolean
  readonly startedAt = sharedMs()
  writes: Array<number> = []
  chunks = 0
  bytes = 0
  blockedAt: number | undefined
  endedAt: number | undefined
  how: CallRecord["how"]
  readonly #script: Script
  readonly #socket: net.Socket
  #timer: NodeJS.Timeout | undefined

  constructor(socket: net.Socket, script: Script, streamed: boolean) {
    this.id = script.id
    this.streamed = streamed
    this.#script = script
    this.#socket = socket
    if (script.silent !== "head") this.#after(script.headMs, () => this.#begin())
  }

  gone(): void {
    this.#end("gone")
  }

  #end(how: NonNullable<CallRecord["how"]>): void {
    if (this.endedAt !== undefined) return
    this.endedAt = sharedMs()
    this.how = how
    clearTimeout(this.#timer)
    this.#socket.removeListener("drain", this.#flood)
  }

  #after(ms: number, next: () => void): void {
    this.#timer = setTimeout(next, ms)
  }

  #write(text: string): boolean {
    this.bytes += text.length
    return this.#socket.write(text, "latin1")
  }

  #begin(): void {
    const script = this.#script
    this.#socket.write(head(this.streamed ? "text/event-stream" : "application/json"), "latin1")
    if (!this.streamed) {
      const body = whole(script)
      const half = Math.floor(body.length / 2)
      this.writes.push(sharedMs())
      this.#write(frame(body.slice(0, half)))
      if (script.silent !== undefined) return
      this.#after(script.firstMs, () => {
        this.chunks = script.chunks
        this.#write(`${frame(body.slice(half))}0\r\n\r\n`)
        this.#end("done")
      })
    } else if (script.flood === true) {
      this.#flood()
    } else if (script.silent !== 0) {
      this.#after(script.firstMs, () => this.#next())
    }
  }

  #next(): void {
    const { chars, chunks, gapMs, silent } = this.#script
    this.writes.push(sharedMs())
    this.#write(frame(event({ content: textOf(this.chunks++, chars) }, null)))
    if (this.chunks === silent) return
    if (this.chunks < chunks) this.#after(gapMs, () => this.#next())
    else this.#after(gapMs, () => this.#finish())
  }

  #finish(): void {
    this.#write(`${frame(tail(this.chunks))}0\r\n\r\n`)
    this.#end("done")
  }

  readonly #flood = (): void => {
    if (this.endedAt !== undefined) return
    const { chars, chunks } = this.#script
    const stopAt = this.bytes + turnBytes
    this.blockedAt = undefined
    while (this.chunks < chunks) {
      const taken = this.#write(frame(event({ content: textOf(this.chunks++, chars) }, null)))
      if (!taken) {
        this.blockedAt = sharedMs()
        this.writes = [this.writes[0] ?? this.blockedAt, this.blockedAt]
        this.#socket.once("drain", this.#flood)
        return
      }
      if (this.bytes >= stopAt) {
        setImmediate(this.#flood)
        return
      }
    }
    this.#finish()
  }
}

let calls: Array<Call> = []

/** The body of the first request in `bytes`, and where it ends; undefined while it is not all here. */
const firstRequest = (bytes: Buffer): { readonly body: string; readonly end: number } | undefined => {
  const at = bytes.indexOf(headEnd)
  if (at < 0) return undefined
  const length = /\r\ncontent-length: *(\d+)/i.exec(bytes.toString("latin1", 0, at))
  const end = at + headEnd.length + Number(length?.[1] ?? 0)
  return end <= bytes.length ? { body: bytes.toString("utf8", at + headEnd.length, end), end } : undefined
}

const server = net.createServer({ noDelay: true }, (socket) => {
  let pending: Buffer = Buffer.alloc(0)
  let current: Call | undefined
  const lost = (): void => {
    current?.gone()
    current = undefined
  }
  socket.on("error", lost)
  socket.on("end", lost)
  socket.on("close", lost)
  socket.on("data", (part: Buffer) => {
    pending = pending.length === 0 ? part : Buffer.concat([pending, part])
    for (let found = firstRequest(pending); found !== undefined; found = firstRequest(pending)) {
      pending = pending.subarray(found.end)
      const { script, stream } = parse(found.body)
      current = new Call(socket, script, stream)
      calls.push(current)
    }
  })
})

const openNow = (): number => calls.reduce((sum, call) => sum + (call.endedAt === undefined ? 1 : 0), 0)

const recordOf = (call: Call): CallRecord => ({
  id: call.id,
  streamed: call.streamed,
  startedAt: call.startedAt,
  writes: call.writes,
  chunks: call.chunks,
  bytes: call.bytes,
  blockedAt: call.blockedAt,
  endedAt: call.endedAt,
  how: call.how
})

const listening = new Promise<number>((resolve) => {
  server.listen(0, "127.0.0.1", 4096, () => resolve((server.address() as net.AddressInfo).port))
})

const loop = Stalls.watch()

serveParent({
  port: () => listening,
  open: openNow,
  /** Records of all calls since they were last cleared. */
  calls: () => calls.map(recordOf),
  clear: () => {
    calls = calls.filter((call) => call.endedAt === undefined)
  },
  loop: () => loop.report()
})
