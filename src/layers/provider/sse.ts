/**
 * Server-sent events from byte chunks, cut anywhere: inside a character, a
 * line ending or a frame. BOM, LF, CRLF, CR and comments as the standard says.
 *
 * Source: WHATWG HTML, "Server-sent events"; parsing by `eventsource-parser`.
 */
import { createParser } from "eventsource-parser"

/** One event; `event` is its name where it has one. */
export interface SseEvent {
  readonly event?: string | undefined
  readonly data: string
}

/** An incremental decoder of one stream. After a fault it must not be fed any more. */
export interface SseDecoder {
  /** Append the events that `bytes` complete to `out`. The result says what is wrong with the stream, if anything. */
  readonly feed: (bytes: Uint8Array, out: Array<SseEvent>) => string | undefined
  /** The stream is over: append the event that only lacked its blank line, which the standard would drop. */
  readonly end: (out: Array<SseEvent>) => string | undefined
}

/** A decoder; an event (or an unfinished line) of more than `maxEventChars` characters is a fault. */
export const make = (maxEventChars: number): SseDecoder => {
  // The parser strips the BOM.
  const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })
  let target: Array<SseEvent> = []
  let fault: string | undefined
  const parser = createParser({
    maxBufferSize: maxEventChars,
    onEvent: (event) => {
      target.push(event)
    },
    onError: (error) => {
      // Unknown fields and bad `retry` lines are to be ignored, says the standard.
      if (error.type === "max-buffer-size-exceeded") fault = `an event is longer than ${maxEventChars} characters`
    }
  })
  const text = (bytes: Uint8Array | undefined): string | undefined => {
    // TextDecoder speaks in exceptions.
    try {
      return bytes === undefined ? utf8.decode() : utf8.decode(bytes, { stream: true })
    } catch {
      fault = "the stream is not valid UTF-8"
      return undefined
    }
  }
  const parse = (chunk: string | undefined, out: Array<SseEvent>): string | undefined => {
    if (chunk === undefined || fault !== undefined) return fault
    target = out
    parser.feed(chunk)
    return fault
  }
  return {
    feed: (bytes, out) => parse(text(bytes), out),
    end: (out) => parse(text(undefined), out) ?? parse("\n\n", out)
  }
}
