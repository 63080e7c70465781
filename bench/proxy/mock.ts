/**
 * The upstream: a chat completion server that must cost far less than any proxy under test, so it speaks a hand-made
 * minimum of HTTP/1.1 on raw sockets and sends prepared bytes. A request with `"stream":true` gets server-sent events
 * paced by its model name (`paced-20x100`: 100 chunks, one each 20 ms, the first at once); any other gets the whole
 * reply at once. Started with an IPC channel; ends when its parent does.
 */
import * as net from "node:net"
import { serveParent } from "../child/ipc.ts"
import { parsePacing, replyBody, streamChunk, streamTail } from "./workload.ts"

/** Counters the bench compares with what its clients saw. */
export interface MockStats {
  readonly requests: number
  readonly openStreams: number
}

const HEAD_END = Buffer.from("\r\n\r\n")
const CHUNKED_END = Buffer.from("\r\n0\r\n\r\n")
const STREAM = [Buffer.from('"stream":true'), Buffer.from('"stream": true')]
const USAGE = [Buffer.from('"include_usage":true'), Buffer.from('"include_usage": true')]
const POST = "P".charCodeAt(0)

const json = (body: string): Buffer =>
  Buffer.from(
    `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: req_bench\r\ncontent-length: ${body.length}\r\n\r\n${body}`
  )
const frame = (text: string): string => `${text.length.toString(16)}\r\n${text}\r\n`

const WHOLE = json(replyBody)
const OTHER = json('{"object":"list","data":[]}')
const CHUNK = Buffer.from(frame(streamChunk))
const FIRST = Buffer.concat([
  Buffer.from(
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\n" +
      "x-request-id: req_bench\r\ntransfer-encoding: chunked\r\n\r\n"
  ),
  CHUNK
])
const TAIL = Buffer.from(`${frame(streamTail(false))}0\r\n\r\n`)
const TAIL_USAGE = Buffer.from(`${frame(streamTail(true))}0\r\n\r\n`)

let requests = 0
const streaming = new Set<net.Socket>()

const contains = (bytes: Buffer, needles: ReadonlyArray<Buffer>): boolean =>
  needles.some((needle) => bytes.includes(needle))

/** Where the body of the first request in `bytes` starts and ends; undefined while it is not all here. */
const bounds = (bytes: Buffer): { readonly start: number; readonly end: number } | undefined => {
  const headEnd = bytes.indexOf(HEAD_END)
  if (headEnd < 0) return undefined
  const start = headEnd + 4
  const head = bytes.toString("latin1", 0, headEnd)
  const length = /\r\ncontent-length: *(\d+)/i.exec(head)
  if (length !== null) {
    const end = start + Number(length[1])
    return end <= bytes.length ? { start, end } : undefined
  }
  if (!/\r\ntransfer-encoding: *chunked/i.test(head)) return { start, end: start }
  const last = bytes.indexOf(CHUNKED_END, headEnd)
  return last < 0 ? undefined : { start, end: last + CHUNKED_END.length }
}

const stream = (socket: net.Socket, body: Buffer): void => {
  const { chunks, intervalMs } = parsePacing(body.toString("latin1"))
  const tail = contains(body, USAGE) ? TAIL_USAGE : TAIL
  let left = chunks - 1
  streaming.add(socket)
  socket.write(FIRST)
  const timer = setInterval(() => {
    if (left-- > 0) {
      socket.write(CHUNK)
    } else {
      socket.off("close", stop)
      stop()
      socket.write(tail)
    }
  }, intervalMs)
  const stop = (): void => {
    clearInterval(timer)
    streaming.delete(socket)
  }
  socket.once("close", stop)
}

const answer = (socket: net.Socket, method: number | undefined, body: Buffer): void => {
  if (method !== POST) {
    socket.write(OTHER)
    return
  }
  requests++
  if (contains(body, STREAM)) stream(socket, body)
  else socket.write(WHOLE)
}

const server = net.createServer({ noDelay: true }, (socket) => {
  let pending: Buffer | undefined
  socket.on("error", () => socket.destroy())
  socket.on("data", (chunk: Buffer) => {
    let bytes = pending === undefined ? chunk : Buffer.concat([pending, chunk])
    pending = undefined
    while (bytes.length > 0) {
      const found = bounds(bytes)
      if (found === undefined) {
        pending = bytes
        return
      }
      answer(socket, bytes[0], bytes.subarray(found.start, found.end))
      bytes = bytes.subarray(found.end)
    }
  })
})

const listening = new Promise<number>((resolve) => {
  server.listen(0, "127.0.0.1", 4096, () => resolve((server.address() as net.AddressInfo).port))
})

serveParent({
  port: () => listening,
  stats: (): MockStats => ({ requests, openStreams: streaming.size }),
  cutStreams: () => {
    for (const socket of streaming) socket.destroy()
  }
})
