/**
 * One HTTP request and its response as the hot routes see them: the body is
 * already read and bounded, the response is written straight to the socket.
 * A small port of our own, because a general HTTP framework costs about as
 * much for each request as everything else that Ballast does for it (see
 * `docs/decisions/0002-two-http-paths.md`).
 */
import type { Effect, Result } from "effect"
import type { RequestError } from "../domain/errors.ts"

/** Flat header list: name, value, name, value … as `node:http` takes it. */
export type HeaderList = Array<string>

/** One exchange. Its methods are plain functions; the fiber that handles it is interrupted when the client goes away. */
export interface Exchange {
  readonly method: string
  /** Path without query. */
  readonly path: string
  /** A request header by its lower-case name. */
  readonly header: (name: string) => string | undefined
  /** The address of the peer, as text. */
  readonly address: string | undefined
  /** Epoch ms when the request's head was here. */
  readonly startedAt: number
  /** The body as text, or why it could not be read. */
  readonly body: Result.Result<string, RequestError>
  /** Send a whole response. Adds `content-length`. */
  readonly respond: (status: number, headers: HeaderList, body: string | Uint8Array) => void
  /** Begin a streamed response. */
  readonly begin: (status: number, headers: HeaderList) => void
  /** Send a piece of a streamed response; `false` when the client reads too slowly: wait for {@link drained} before the next. */
  readonly write: (text: string) => boolean
  /** Until the client has taken what was written. A client that takes too long is cut off, which interrupts the handler. */
  readonly drained: Effect.Effect<void>
  /** End a streamed response. */
  readonly end: () => void
  /** Whether a response has begun. */
  readonly begun: () => boolean
}

/** Handles one exchange to its end. Whatever it fails with has been answered already. */
export type Handler<R = never> = (exchange: Exchange) => Effect.Effect<void, unknown, R>
