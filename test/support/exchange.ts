/** An exchange without a socket, that remembers what was written to it. */
import { Effect, Result } from "effect"
import type { Exchange, HeaderList } from "../../src/services/exchange.ts"

/** What a handler has sent. */
export interface Sent {
  status: number | undefined
  headers: Readonly<Record<string, string>>
  /** The whole body, or all pieces of a stream so far. */
  text: string
  readonly writes: Array<string>
  ended: boolean
  /** How often the handler waited for the client. */
  waits: number
}

/** Name and value pairs as a record. */
export const headersOf = (list: HeaderList): Readonly<Record<string, string>> =>
  Object.fromEntries(list.flatMap((name, at) => (at % 2 === 0 ? [[name, list[at + 1] ?? ""]] : [])))

/** `headers` by lower-case name; `full` says before which writes the client's buffer is full. */
export const make = (
  options: {
    readonly headers?: Readonly<Record<string, string>>
    readonly address?: string | undefined
    readonly body?: string
    readonly full?: (write: number) => boolean
  } = {}
): { readonly exchange: Exchange; readonly sent: Sent } => {
  const { address, body = "", full = () => false, headers = {} } = options
  const sent: Sent = { status: undefined, headers: {}, text: "", writes: [], ended: false, waits: 0 }
  const begin = (status: number, list: HeaderList) => {
    sent.status = status
    sent.headers = headersOf(list)
  }
  const exchange: Exchange = {
    method: "POST",
    path: "/v1/chat/completions",
    header: (name) => headers[name],
    address,
    startedAt: 1_000,
    body: Result.succeed(body),
    begin,
    respond: (status, list, text) => {
      begin(status, list)
      sent.text = typeof text === "string" ? text : new TextDecoder().decode(text)
      sent.ended = true
    },
    write: (text) => {
      sent.writes.push(text)
      sent.text += text
      return !full(sent.writes.length)
    },
    drained: Effect.sync(() => void sent.waits++),
    end: () => {
      sent.ended = true
    },
    begun: () => sent.status !== undefined
  }
  return { exchange, sent }
}
