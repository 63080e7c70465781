/**
 * Writing an answer to the client, as one JSON body or as server-sent events.
 * Text that came from the provider is forwarded as it came.
 */
import { Effect, Stream } from "effect"
import * as Collect from "../../domain/collect.ts"
import type { ProviderError } from "../../domain/errors.ts"
import type { Exchange } from "../../services/exchange.ts"
import type { ChunkEvent, Completion, CompletionEvent } from "../../services/provider.ts"
import type { RequestRecord } from "../../services/request-record.ts"
import { collect } from "../collect.ts"
import * as Headers from "./headers.ts"

/** Write a completion as one JSON body; a provider that streamed all the same is collected first. */
export const whole = (
  exchange: Exchange,
  record: RequestRecord,
  now: () => number,
  completion: Completion
): Effect.Effect<void, ProviderError> => {
  const send = (data: string | Uint8Array): void =>
    exchange.respond(200, Headers.answer(record, now(), "application/json", completion.degraded), data)
  const { first } = completion
  if (first._tag === "Whole") return Effect.sync(() => send(first.bytes ?? first.data))
  return Effect.flatMap(collect(completion), (answer) => Effect.sync(() => send(JSON.stringify(answer))))
}

/** The end of a complete stream. */
const done = "data: [DONE]\n\n"

/**
 * Write a completion as server-sent events, one write for each batch that came
 * in. The chunk that has only the token counts is left out unless
 * `includeUsage`: we asked the provider for it, the client did not.
 */
export const sse = (
  exchange: Exchange,
  record: RequestRecord,
  now: () => number,
  completion: Completion,
  includeUsage: boolean
): Effect.Effect<void, ProviderError> =>
  Effect.suspend(() => {
    exchange.begin(200, Headers.stream(record, now(), completion.degraded))
    const begun = exchange.write(frames([completion.first], includeUsage))
    const rest = Stream.runForEachArray(completion.rest, (batch) => {
      const text = frames(batch, includeUsage)
      return text === "" || exchange.write(text) ? Effect.void : exchange.drained
    })
    const end = Effect.sync(() => {
      exchange.write(done)
      exchange.end()
    })
    return Effect.andThen(begun ? rest : Effect.andThen(exchange.drained, rest), end)
  })

const frames = (batch: ReadonlyArray<CompletionEvent>, includeUsage: boolean): string => {
  let text = ""
  for (const event of batch) {
    if (event._tag === "Whole") {
      for (const chunk of Collect.toChunks(event.completion)) {
        if (includeUsage || chunk.choices.length > 0) text += frame(JSON.stringify(chunk))
      }
    } else if (includeUsage || !isUsageOnly(event)) {
      text += frame(event.data)
    }
  }
  return text
}

/** `usage: null` is on every other chunk of a provider that was asked for the counts; such a chunk has something else to say. */
const isUsageOnly = ({ chunk }: ChunkEvent): boolean =>
  chunk.choices.length === 0 && chunk.usage !== undefined && chunk.usage !== null

/** One event; text with line breaks needs a `data:` on each line (HTML standard, "Server-sent events"). */
const frame = (data: string): string => `data: ${data.includes("\n") ? data.replaceAll("\n", "\ndata: ") : data}\n\n`
