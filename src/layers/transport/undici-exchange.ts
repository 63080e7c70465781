/**
 * One request and its answer over undici's `dispatch`: the handler that undici
 * calls, and the response that the program reads, in one object.
 *
 * Two rules keep it safe and cheap:
 * - Fibers are woken in a microtask, never inside undici's callbacks. Those run
 *   while its parser is on the stack, and a program that sends or resumes
 *   another call there would re-enter the parser (undici asserts against it).
 *   It also means that all chunks of one socket read wake the reader once.
 * - Nothing is allocated for a chunk but its place in an array.
 */
import { Buffer } from "node:buffer"
import { Cause, Effect } from "effect"
import type { Pull } from "effect"
import type { Dispatcher } from "undici"
import type { Timer, Timers } from "../../services/timers.ts"
import { textOf, TransportError } from "../../services/transport.ts"
import type { Bounds, Bytes, TransportRequest, TransportResponse } from "../../services/transport.ts"

/** Bytes waiting to be pulled at which the sender is told to wait. */
export const highWaterBytes = 65_536

/** Most bytes that a finished call may still receive before it is aborted after all. */
const lingerBytes = 65_536

/** How soon a call without a first event is looked at again when nobody happened to wait for it, in ms. */
const recheckMs = 20

/** One error for all aborts: nobody reads it, and capturing a stack each time is dear. */
const abortReason = new Error("the call was given up")

const noBytes = new Uint8Array(0)

/** What the transport keeps for its exchanges. */
export interface ExchangeHost {
  readonly dispatcher: Pick<Dispatcher, "dispatch">
  /** With them, calls keep their bounds. */
  readonly timers?: Timers["Service"] | undefined
  /** The reason for an error of undici's, before or after the response headers. */
  readonly toError: (error: Error, started: boolean) => TransportError
  /** A finished call waits for its last bytes; the host aborts it when that takes long. */
  readonly linger: (exchange: Exchange) => void
  readonly lingered: (exchange: Exchange) => void
}

/** `waiting` for headers, `open` body, `ended` whole, `failed`, `lingering` for the last bytes, `closed` by us. */
type State = "waiting" | "open" | "ended" | "failed" | "lingering" | "closed"

export class Exchange implements Dispatcher.DispatchHandler, TransportResponse {
  status = 0
  readonly #host: ExchangeHost
  #state: State = "waiting"
  #headers: Record<string, string | Array<string> | undefined> = {}
  #controller: Dispatcher.DispatchController | undefined
  #chunks: Array<Buffer> = []
  #buffered = 0
  #limit = Infinity
  #paused = false
  #finished = false
  #failure: TransportError | undefined
  #waiter: (() => void) | undefined
  #wakesOnData = false
  #scheduled = false
  #bounds: Bounds | undefined
  #timer: Timer | undefined
  #hasOpened = false
  #startedAt = 0
  #pull: Pull.Pull<Bytes, TransportError> | undefined
  #wait: Pull.Pull<Bytes, TransportError> | undefined

  constructor(host: ExchangeHost) {
    this.#host = host
  }

  // ---- the program's side -------------------------------------------------

  /** Dispatch, and succeed with this response when the headers are here; interruption aborts. */
  start(request: TransportRequest): Effect.Effect<TransportResponse, TransportError> {
    return Effect.callback((resume) => {
      this.#waiter = () =>
        resume(
          this.#state === "failed" && this.#failure !== undefined ? Effect.fail(this.#failure) : Effect.succeed(this)
        )
      this.#bound(request.bounds)
      this.#host.dispatcher.dispatch(
        {
          origin: request.origin,
          path: request.path,
          method: request.method,
          // undici only reads the array.
          headers: request.headers as Array<string>,
          body: request.body ?? null
        },
        this
      )
      return Effect.sync(() => this.close())
    })
  }

  readonly header = (name: string): string | undefined => {
    const value = this.#headers[name]
    return typeof value === "object" ? value.join(", ") : value
  }

  text(maxBytes: number): Effect.Effect<string, TransportError> {
    return Effect.map(this.bytes(maxBytes), textOf)
  }

  bytes(maxBytes: number): Effect.Effect<Uint8Array, TransportError> {
    return Effect.suspend(() => {
      this.#limit = maxBytes
      this.#resume()
      return this.#whole()
    })
  }

  /** Made when it is first asked for: a body that is read whole needs none. */
  get pull(): Pull.Pull<Bytes, TransportError> {
    return (this.#pull ??= Effect.suspend(() => this.#take()))
  }

  #take(): Pull.Pull<Bytes, TransportError> {
    if (this.#chunks.length > 0) {
      // Not empty: checked in the line before.
      const chunks = this.#chunks as unknown as Bytes
      this.#chunks = []
      this.#buffered = 0
      this.#resume()
      return Effect.succeed(chunks)
    }
    switch (this.#state) {
      case "open":
        return (this.#wait ??= this.#makeWait())
      case "ended":
        return Cause.done()
      default:
        return Effect.fail(this.#failure ?? closedError)
    }
  }

  finish(): void {
    this.#finished = true
  }

  opened(): void {
    this.#hasOpened = true
  }

  #bound(bounds: Bounds | undefined): void {
    const { timers } = this.#host
    if (bounds === undefined || timers === undefined) return
    this.#bounds = bounds
    this.#startedAt = timers.now()
    this.#timer = timers.make(() => this.#expire())
    this.#timer.arm(bounds.firstAtMs)
  }

  /** A wait for more of a stream begins. Arming for later than before is one field write. */
  #boundWait(): void {
    const { timers } = this.#host
    if (this.#bounds === undefined || timers === undefined || !this.#hasOpened) return
    this.#timer?.arm(Math.min(timers.now() + this.#bounds.idleMs, this.#bounds.endsAtMs))
  }

  /** The time is over. A reader that is busy elsewhere is not cut: only waits are bounded. */
  #expire(): void {
    const bounds = this.#bounds
    const now = this.#host.timers?.now() ?? 0
    if (bounds === undefined || (this.#state !== "waiting" && this.#state !== "open")) return
    if (this.#waiter === undefined) {
      // A wait for more arms the timer itself; before the first event nothing else would.
      if (!this.#hasOpened) this.#timer?.arm(now + recheckMs)
      return
    }
    const phase = !this.#hasOpened ? "first token" : now >= bounds.endsAtMs ? "total" : "idle"
    const afterMs = phase === "idle" ? bounds.idleMs : now - this.#startedAt
    this.#failure = new TransportError({ reason: { _tag: "Timeout", phase, afterMs } })
    this.#chunks = []
    this.#state = "failed"
    this.#controller?.abort(abortReason)
    this.#wake()
  }

  /** End the call: nothing where the answer is whole, else abort at once (or let the last bytes of a finished one run out). */
  close(): void {
    this.#waiter = undefined
    this.#timer?.disarm()
    if (this.#state !== "waiting" && this.#state !== "open") return
    if (this.#finished && this.#state === "open") {
      this.#state = "lingering"
      this.#chunks = []
      this.#buffered = 0
      this.#host.linger(this)
      this.#resume()
      return
    }
    this.abort()
  }

  /** Give the connection up. Without a controller (still connecting or queued) the request is dropped when its turn comes. */
  abort(): void {
    if (this.#state === "ended" || this.#state === "failed") return
    this.#state = "closed"
    this.#chunks = []
    this.#controller?.abort(abortReason)
  }

  #makeWait(): Pull.Pull<Bytes, TransportError> {
    return Effect.callback((resume) => {
      this.#wakesOnData = true
      this.#waiter = () => resume(this.pull)
      this.#boundWait()
      return this.#forget()
    })
  }

  #forget(): Effect.Effect<void> {
    return Effect.sync(() => {
      this.#waiter = undefined
    })
  }

  #whole(): Effect.Effect<Uint8Array, TransportError> {
    switch (this.#state) {
      case "ended": {
        const [first, ...rest] = this.#chunks
        if (this.#buffered > this.#limit) return Effect.fail(tooLarge(this.#limit))
        if (first === undefined) return Effect.succeed(noBytes)
        return Effect.succeed(rest.length === 0 ? first : Buffer.concat(this.#chunks))
      }
      case "open": {
        const length = Number(this.header("content-length"))
        if (this.#buffered > this.#limit || length > this.#limit) {
          this.abort()
          return Effect.fail(tooLarge(this.#limit))
        }
        return Effect.callback((resume) => {
          this.#wakesOnData = false
          this.#waiter = () => resume(Effect.suspend(() => this.#whole()))
          return this.#forget()
        })
      }
      default:
        return Effect.fail(this.#failure ?? closedError)
    }
  }

  #resume(): void {
    if (!this.#paused) return
    this.#paused = false
    this.#controller?.resume()
  }

  #wake(): void {
    if (this.#waiter === undefined || this.#scheduled) return
    this.#scheduled = true
    queueMicrotask(() => {
      this.#scheduled = false
      const waiter = this.#waiter
      this.#waiter = undefined
      waiter?.()
    })
  }

  // ---- undici's side ------------------------------------------------------

  onRequestStart(controller: Dispatcher.DispatchController): void {
    if (this.#state === "closed" || this.#state === "failed") controller.abort(abortReason)
    else this.#controller = controller
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | Array<string> | undefined>
  ): void {
    // 1xx: an interim answer; the real one follows.
    if (status < 200 || this.#state !== "waiting") return
    this.status = status
    this.#headers = headers
    this.#state = "open"
    this.#wake()
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#state === "open") {
      this.#chunks.push(chunk)
      this.#buffered += chunk.length
      // A reader of the whole text allows more than the mark, but not more than its limit.
      const mark = this.#limit === Infinity ? highWaterBytes : this.#limit + 1
      if (this.#buffered >= mark && !this.#paused) {
        this.#paused = true
        controller.pause()
      }
      if (this.#wakesOnData || this.#paused) this.#wake()
    } else if (this.#state === "lingering") {
      this.#buffered += chunk.length
      if (this.#buffered > lingerBytes) {
        this.#host.lingered(this)
        this.abort()
      }
    }
  }

  onResponseEnd(): void {
    if (this.#state === "lingering") this.#host.lingered(this)
    if (this.#state === "closed" || this.#state === "failed") return
    this.#timer?.disarm()
    this.#state = "ended"
    this.#wake()
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    if (this.#state === "lingering") this.#host.lingered(this)
    if (this.#state === "closed" || this.#state === "ended" || this.#state === "failed") return
    this.#timer?.disarm()
    this.#failure = this.#host.toError(error, this.#state !== "waiting")
    this.#state = "failed"
    this.#wake()
  }
}

const closedError = new TransportError({ reason: { _tag: "Closed", detail: "the call was given up" } })

const tooLarge = (limitBytes: number): TransportError =>
  new TransportError({ reason: { _tag: "TooLarge", limitBytes } })
