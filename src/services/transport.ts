/**
 * How bytes get to a provider and back: one request, one answer whose body is
 * pulled. A port of our own, because it is the hottest border of a gateway:
 * general HTTP clients cost more than all guards together.
 *
 * The connection lives in the scope. Closing the scope (or interrupting
 * `send`) before the body has ended aborts the call at once; after a whole
 * body nothing is aborted and the connection serves the next call.
 *
 * A transport that is `bounded` keeps the time limits of a request itself, on
 * the shared timers; any other leaves them to the caller.
 */
import { Buffer } from "node:buffer"
import { Context, Effect, Schema } from "effect"
import type { Pull, Scope } from "effect"
import { TimeoutPhase } from "../domain/errors.ts"

/**
 * Why bytes could not be moved.
 *
 * - `Unreachable`: no connection could be made; `refused` where nothing listens there
 * - `Timeout`: no connection within `afterMs` ms
 * - `Closed`: the connection ended before the answer did
 * - `TooLarge`: the body is longer than the reader allowed
 */
export const TransportReason = Schema.Union([
  Schema.TaggedStruct("Unreachable", { detail: Schema.String, refused: Schema.Boolean }),
  Schema.TaggedStruct("Timeout", { phase: TimeoutPhase, afterMs: Schema.Finite }),
  Schema.TaggedStruct("Closed", { detail: Schema.String }),
  Schema.TaggedStruct("TooLarge", { limitBytes: Schema.Int })
])
export type TransportReason = typeof TransportReason.Type

/** A call failed below HTTP. */
export class TransportError extends Schema.TaggedError<TransportError>()("TransportError", {
  reason: TransportReason
}) {
  override get message(): string {
    const r = this.reason
    switch (r._tag) {
      case "Unreachable":
        return `unreachable: ${r.detail}`
      case "Timeout":
        return `no ${r.phase} within ${r.afterMs} ms`
      case "Closed":
        return `connection closed: ${r.detail}`
      case "TooLarge":
        return `the body is larger than ${r.limitBytes} bytes`
    }
  }
}

/**
 * One HTTP request.
 *
 * - `origin`: scheme, host and port, e.g. `https://api.example.com`; connections are pooled by it
 * - `path`: path and query, starting with `/`
 * - `headers`: names and values in turn, e.g. `["accept", "*\/*"]`
 */
export interface TransportRequest {
  readonly method: "GET" | "POST"
  readonly origin: string
  readonly path: string
  readonly headers: ReadonlyArray<string>
  readonly body: string | undefined
  /** Kept by a transport that is `bounded`; others leave time to the caller. */
  readonly bounds?: Bounds | undefined
}

/**
 * How long a call may take, for a transport that bounds its own waits.
 *
 * - `firstAtMs`: epoch ms until which the answer (of a stream: its first event) must be here
 * - `idleMs`: longest wait for more of a stream, from the moment somebody waits for it
 * - `endsAtMs`: epoch ms at which a stream is over in any case
 */
export interface Bounds {
  readonly firstAtMs: number
  readonly idleMs: number
  readonly endsAtMs: number
}

/** One or more byte chunks in the order in which they came. Treat them as read-only. */
export type Bytes = readonly [Uint8Array, ...Array<Uint8Array>]

/** An answer whose headers are here. Read the body once: by `bytes`, by `text` or by `pull`. */
export interface TransportResponse {
  readonly status: number
  /** Value of a header, by lower-case name; several of one name are joined by `, `. */
  readonly header: (name: string) => string | undefined
  /** The whole body; `TooLarge` (and an aborted call) where it has more than `maxBytes` bytes. */
  readonly bytes: (maxBytes: number) => Effect.Effect<Uint8Array, TransportError>
  /** The same as UTF-8 text. */
  readonly text: (maxBytes: number) => Effect.Effect<string, TransportError>
  /**
   * What has arrived since the last pull; waits where nothing has. Ends when
   * the body is complete, fails with `Closed` when it was cut.
   *
   * A body that is not pulled is held back at the sender: at most some 64 KiB wait here.
   */
  readonly pull: Pull.Pull<Bytes, TransportError>
  /**
   * What is still to come does not matter: closing the scope may let it run
   * out (shortly, a few KiB at most) instead of aborting, so that the
   * connection can be used again. For protocols whose messages end before the body does.
   */
  readonly finish: () => void
  /** The first event is here: from now on waits are bounded by `idleMs` and `endsAtMs`. */
  readonly opened: () => void
}

export class Transport extends Context.Service<
  Transport,
  {
    /** Whether the transport keeps the bounds of a request, so that nobody else need watch its calls. */
    readonly bounded: boolean
    /** Send `request`; succeeds when the answer's headers are here. */
    readonly send: (request: TransportRequest) => Effect.Effect<TransportResponse, TransportError, Scope.Scope>
  }
>()("ballast/services/Transport") {}

/** The text of a body. Bytes that are no UTF-8 become replacement characters. */
export const textOf = (bytes: Uint8Array): string =>
  // A view, not a copy: Buffer's decoder is several times faster than TextDecoder on short texts.
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8")
