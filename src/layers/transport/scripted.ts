/**
 * A transport that answers by script and records what it was asked: for tests
 * of everything above bytes, in virtual time and without a socket.
 *
 * Where chunks end, whether the body is whole, cut or hangs, and how long each
 * step takes are all part of the script.
 */
import { Cause, Effect, Layer, Scope } from "effect"
import * as Context from "effect/Context"
import { textOf, Transport, TransportError } from "../../services/transport.ts"
import type { Bytes, TransportReason, TransportRequest, TransportResponse } from "../../services/transport.ts"

/** A piece of a body: bytes, text, or a pause in ms of the Clock. */
export type Piece = string | Uint8Array | number

/**
 * One scripted answer.
 *
 * - `body`: its pieces, each pulled on its own
 * - `end`: `whole` (default), `cut` (the connection ends inside the body) or `hang` (nothing more ever comes)
 * - `delayMs`: before the headers
 */
export interface Answer {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>> | undefined
  readonly body: ReadonlyArray<Piece>
  readonly end?: "whole" | "cut" | "hang" | undefined
  readonly delayMs?: number | undefined
}

/** What happens to one call: an answer, a failure before it, or silence. */
export type Step = Answer | { readonly fail: TransportReason } | "hang"

/** The calls made, in order. `state` is `whole` once the body was read to its end, `aborted` where its scope closed before that. */
export interface RecordedCall {
  readonly request: TransportRequest
  state: "open" | "whole" | "aborted" | "failed"
}

/** The transport, and what it was asked. */
export interface Scripted {
  readonly transport: Transport["Service"]
  readonly calls: ReadonlyArray<RecordedCall>
}

/** A JSON answer; 200 unless said otherwise. */
export const json = (value: unknown, options: Partial<Omit<Answer, "body">> = {}): Answer => ({
  status: 200,
  ...options,
  headers: { "content-type": "application/json", ...options.headers },
  body: [typeof value === "string" ? value : JSON.stringify(value)]
})

/** An event stream; each piece is sent as it is, framing included. */
export const sse = (pieces: ReadonlyArray<Piece>, options: Partial<Omit<Answer, "body">> = {}): Answer => ({
  status: 200,
  ...options,
  headers: { "content-type": "text/event-stream; charset=utf-8", ...options.headers },
  body: pieces
})

/** `text` as UTF-8 in pieces of `size` bytes, wherever that cuts. */
export const splitEvery = (text: string, size: number): ReadonlyArray<Uint8Array> => {
  const bytes = new TextEncoder().encode(text)
  return Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) => bytes.subarray(i * size, (i + 1) * size))
}

/** A transport that gives the steps of `script` in turn, its last one for ever; a function gets the request and its number. */
export const make = (
  script: readonly [Step, ...Array<Step>] | ((request: TransportRequest, index: number) => Step)
): Scripted => {
  const calls: Array<RecordedCall> = []
  const next = (request: TransportRequest): Step => {
    if (typeof script === "function") return script(request, calls.length)
    // Not empty: the type says so.
    return script[Math.min(calls.length, script.length - 1)] as Step
  }
  const send = (request: TransportRequest): Effect.Effect<TransportResponse, TransportError, Scope.Scope> =>
    Effect.withFiber((fiber) => {
      const step = next(request)
      const call: RecordedCall = { request, state: "open" }
      calls.push(call)
      const give = Effect.sync(() => {
        if (call.state === "open") call.state = "aborted"
      })
      // `send` requires a Scope, so the fiber's context has one.
      const scope = Context.getUnsafe(fiber.context, Scope.Scope)
      const answer: Effect.Effect<TransportResponse, TransportError> =
        step === "hang"
          ? Effect.never
          : "fail" in step
            ? Effect.suspend(() => {
                call.state = "failed"
                return Effect.fail(new TransportError({ reason: step.fail }))
              })
            : Effect.as(step.delayMs === undefined ? Effect.void : Effect.sleep(step.delayMs), respond(step, call))
      return Effect.andThen(
        Scope.addFinalizer(scope, give),
        Effect.onInterrupt(answer, () => give)
      )
    })
  return { transport: Transport.of({ bounded: false, send }), calls }
}

/** {@link make} as a layer, for a script made outside it. */
export const layer = (scripted: Scripted): Layer.Layer<Transport> => Layer.succeed(Transport, scripted.transport)

const respond = (answer: Answer, call: RecordedCall): TransportResponse => {
  const headers = new Map(Object.entries(answer.headers ?? {}).map(([name, value]) => [name.toLowerCase(), value]))
  const pieces = [...answer.body]
  const pull: TransportResponse["pull"] = Effect.suspend(() => {
    const piece = pieces.shift()
    if (typeof piece === "number") return Effect.andThen(Effect.sleep(piece), pull)
    if (piece !== undefined) {
      const bytes: Bytes = [typeof piece === "string" ? new TextEncoder().encode(piece) : piece]
      return Effect.succeed(bytes)
    }
    if (answer.end === "hang") return Effect.never
    if (answer.end === "cut") {
      call.state = "failed"
      return Effect.fail(new TransportError({ reason: { _tag: "Closed", detail: "other side closed" } }))
    }
    if (call.state === "open") call.state = "whole"
    return Cause.done()
  })
  const bytesOf = (maxBytes: number): Effect.Effect<Uint8Array, TransportError> => {
    const parts: Array<Uint8Array> = []
    let size = 0
    const more: Effect.Effect<Uint8Array, TransportError> = Effect.matchEffect(pull, {
      onFailure: (error) => (error instanceof TransportError ? Effect.fail(error) : Effect.succeed(concat(parts))),
      onSuccess: (bytes) => {
        for (const chunk of bytes) size += parts.push(chunk) > 0 ? chunk.length : 0
        if (size <= maxBytes) return more
        call.state = "aborted"
        return Effect.fail(new TransportError({ reason: { _tag: "TooLarge", limitBytes: maxBytes } }))
      }
    })
    return more
  }
  return {
    status: answer.status,
    header: (name) => headers.get(name),
    bytes: bytesOf,
    opened: () => {},
    text: (maxBytes) => Effect.map(bytesOf(maxBytes), textOf),
    pull,
    finish: () => {
      if (call.state === "open") call.state = "whole"
    }
  }
}

const concat = (parts: ReadonlyArray<Uint8Array>): Uint8Array => {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}
