/**
 * A client connection that costs next to nothing: keep-alive, one exchange at a time, hand-made parsing of
 * `content-length` and `chunked` replies on a raw socket. Every body goes to an inspector, which says whether it was
 * complete: speed counts only for right answers.
 */
import * as net from "node:net"
import { NUMBER_MARK } from "./workload.ts"

/** Looks at a body while it arrives. */
export interface Inspector {
  reset(): void
  text(part: string): void
  /** Why the body, now at its end, is wrong; undefined when it is right. */
  verdict(): string | undefined
}

export type Done = (error: string | undefined) => void

export interface Target {
  readonly port: number
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
}

const HEAD_END = Buffer.from("\r\n\r\n")

// Reads are synchronous up to the end of the callback, so that one buffer serves every socket.
const shared = Buffer.allocUnsafe(64 * 1024)

let sent = 0

const requestBytes = (target: Target, body: string): Buffer => {
  const headers = { host: `127.0.0.1:${target.port}`, "content-type": "application/json", ...target.headers }
  const lines = Object.entries({ ...headers, "content-length": String(body.length) }).map(([k, v]) => `${k}: ${v}\r\n`)
  return Buffer.from(`POST ${target.path} HTTP/1.1\r\n${lines.join("")}\r\n${body}`, "latin1")
}

type State = "head" | "sized" | "chunk-size" | "chunk-data" | "chunk-end" | "trailer"

export class Connection {
  readonly inspector: Inspector
  /** Called by the inspector of a stream at its first token. */
  onFirst: () => void = () => undefined
  readonly #port: number
  readonly #request: Buffer
  readonly #digits: number
  #socket: net.Socket | undefined
  #done: Done | undefined
  #state: State = "head"
  #left = 0
  #line = ""
  #pending: Buffer | undefined
  #status = ""

  constructor(target: Target, body: string, inspector: Inspector) {
    this.#port = target.port
    this.#request = requestBytes(target, body)
    this.#digits = this.#request.indexOf(NUMBER_MARK) + 1
    this.inspector = inspector
  }

  /** Connects; also used to replace a socket the server closed between two exchanges. */
  open(): Promise<void> {
    const socket = net.connect({
      port: this.#port,
      host: "127.0.0.1",
      noDelay: true,
      onread: {
        buffer: shared,
        callback: (length) => {
          this.#read(shared.subarray(0, length))
          return true
        }
      }
    })
    this.#socket = socket
    return new Promise((resolve, reject) => {
      socket.once("connect", () => resolve())
      socket.on("error", (error) => {
        reject(error)
        this.#lost(socket, error.message)
      })
      socket.on("close", () => this.#lost(socket, "connection closed before the reply was complete"))
    })
  }

  close(): void {
    this.#done = undefined
    this.#socket?.destroy()
    this.#socket = undefined
  }

  /** Ends the exchange under way with an error. */
  fail(why: string): void {
    if (this.#done !== undefined) this.#finish(why)
  }

  send(done: Done): void {
    this.#done = done
    this.#state = "head"
    this.#pending = undefined
    this.inspector.reset()
    this.#number()
    if (this.#socket === undefined) this.open().catch(() => undefined)
    this.#socket?.write(this.#request)
  }

  // Safe in place: the last write has left before its reply came.
  #number(): void {
    let value = ++sent
    for (let at = this.#digits + 7; at >= this.#digits; at--) {
      this.#request[at] = 48 + (value % 10)
      value = Math.floor(value / 10)
    }
  }

  #lost(socket: net.Socket, why: string): void {
    if (socket !== this.#socket) return
    this.#socket = undefined
    if (this.#done !== undefined) this.#finish(why)
  }

  #finish(error: string | undefined): void {
    const done = this.#done
    this.#done = undefined
    this.#state = "head"
    if (error !== undefined) this.close()
    done?.(error)
  }

  #complete(): void {
    if (this.#status !== "200") this.#finish(`status ${this.#status}`)
    else this.#finish(this.inspector.verdict())
  }

  #body(bytes: Buffer, from: number, to: number): void {
    if (to > from) this.inspector.text(bytes.toString("latin1", from, to))
  }

  #read(chunk: Buffer): void {
    let bytes = chunk
    let at = 0
    if (this.#state === "head") {
      if (this.#done === undefined) return
      if (this.#pending !== undefined) bytes = Buffer.concat([this.#pending, chunk])
      const end = bytes.indexOf(HEAD_END)
      if (end < 0) {
        this.#pending = Buffer.from(bytes)
        return
      }
      this.#pending = undefined
      this.#head(bytes.toString("latin1", 0, end))
      at = end + 4
    }
    if (this.#state === "sized") this.#sized(bytes, at)
    else this.#chunked(bytes, at)
  }

  #head(head: string): void {
    this.#status = head.slice(9, 12)
    const length = /\r\ncontent-length: *(\d+)/i.exec(head)
    this.#line = ""
    if (length === null) {
      this.#state = "chunk-size"
    } else {
      this.#state = "sized"
      this.#left = Number(length[1])
    }
  }

  #sized(bytes: Buffer, from: number): void {
    const to = Math.min(bytes.length, from + this.#left)
    this.#left -= to - from
    this.#body(bytes, from, to)
    if (this.#left === 0) this.#complete()
  }

  #chunked(bytes: Buffer, from: number): void {
    let at = from
    while (at < bytes.length) {
      if (this.#state === "chunk-data") {
        const to = Math.min(bytes.length, at + this.#left)
        this.#left -= to - at
        this.#body(bytes, at, to)
        at = to
        if (this.#left === 0) this.#state = "chunk-end"
        continue
      }
      const newline = bytes.indexOf(10, at)
      const to = newline < 0 ? bytes.length : newline
      this.#line += bytes.toString("latin1", at, to)
      at = to + 1
      if (newline < 0) return
      const line = this.#line.trim()
      this.#line = ""
      if (this.#state === "chunk-end") {
        this.#state = "chunk-size"
      } else if (this.#state === "chunk-size") {
        this.#left = Number.parseInt(line, 16)
        if (Number.isNaN(this.#left)) return this.#finish(`not a chunk size: ${line.slice(0, 40)}`)
        this.#state = this.#left === 0 ? "trailer" : "chunk-data"
      } else if (line === "") {
        return this.#complete()
      }
    }
  }
}
