/**
 * A streamed answer: bytes, framed as server-sent events, decoded by a
 * protocol. One array of events for what one pull of bytes brought; the work
 * for a chunk is synchronous, Effect only sees the batch.
 *
 * It ends only when the protocol says that the answer is complete. Bytes that
 * end earlier are `Truncated`, whatever the connection looked like.
 */
import { Cause, Effect } from "effect"
import type { Pull } from "effect"
import type { ProviderReason } from "../../domain/errors.ts"
import type { CompletionEvent } from "../../services/provider.ts"
import { TransportError } from "../../services/transport.ts"
import type { Bytes, TransportResponse } from "../../services/transport.ts"
import type { StreamDecoder } from "./protocol.ts"
import * as Sse from "./sse.ts"

/** One or more events. */
export type Events = readonly [CompletionEvent, ...Array<CompletionEvent>]

/** The events of `response`, batch by batch. Events before a fault are delivered before it. */
export const pullEvents = (
  response: TransportResponse,
  decoder: StreamDecoder,
  maxEventChars: number
): Pull.Pull<Events, ProviderReason> => {
  const sse = Sse.make(maxEventChars)
  const frames: Array<Sse.SseEvent> = []
  let verdict: "done" | ProviderReason | undefined

  const decode = (out: Array<CompletionEvent>): void => {
    for (const frame of frames) {
      verdict = decoder.step(frame, out)
      if (verdict !== undefined) break
    }
    frames.length = 0
    if (verdict === "done") response.finish()
  }

  const take = (bytes: Bytes): Effect.Effect<Events, ProviderReason | Cause.Done> => {
    const out: Array<CompletionEvent> = []
    let fault: string | undefined
    for (const chunk of bytes) {
      fault = sse.feed(chunk, frames)
      if (fault !== undefined) break
    }
    // What came whole before the fault still counts.
    decode(out)
    if (verdict === undefined && fault !== undefined) verdict = { _tag: "BrokenFrame", detail: fault }
    // Not empty: checked in the same expression.
    return out.length > 0 ? Effect.succeed(out as unknown as Events) : verdict === undefined ? more : end
  }

  /** The bytes are over: complete only if the frame that lacked its blank line says so, or the protocol allows this end. */
  const over = (): void => {
    if (sse.end(frames) === undefined) {
      const last = frames.pop()
      if (last !== undefined && decoder.step(last, []) === "done") {
        verdict = "done"
        return
      }
    }
    verdict = decoder.mayEnd() ? "done" : { _tag: "Truncated", detail: "the stream ended without its terminator" }
  }

  const fetch = Effect.matchEffect(response.pull, {
    onFailure: (error) => {
      if (error instanceof TransportError) verdict = cut(error)
      else over()
      return end
    },
    onSuccess: take
  })
  const end = Effect.suspend((): Effect.Effect<never, ProviderReason | Cause.Done> =>
    verdict === undefined || verdict === "done" ? Cause.done() : Effect.fail(verdict)
  )
  const more: Effect.Effect<Events, ProviderReason | Cause.Done> = Effect.suspend(() =>
    verdict === undefined ? fetch : end
  )
  return more
}

/** What a transport's failure means once an answer has begun. */
export const cut = (error: TransportError): ProviderReason => {
  const r = error.reason
  switch (r._tag) {
    case "TooLarge":
      return { _tag: "BadResponse", detail: error.message }
    case "Timeout":
      return r
    default:
      return { _tag: "Truncated", detail: r.detail }
  }
}
