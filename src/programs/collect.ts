/**
 * The whole answer of a completion, however the provider sent it.
 */
import { Effect, Stream } from "effect"
import type { ChatCompletion } from "../domain/chat.ts"
import * as Collect from "../domain/collect.ts"
import { ProviderError } from "../domain/errors.ts"
import { events } from "../services/provider.ts"
import type { Completion } from "../services/provider.ts"

/** Read a completion to its end. Fails as its stream does; a stream without a single chunk is a `BadResponse`. */
export const collect = (completion: Completion): Effect.Effect<ChatCompletion, ProviderError> =>
  Effect.suspend(() => {
    if (completion.first._tag === "Whole") return Effect.succeed(completion.first.completion)
    const collector = Collect.make()
    return Effect.flatMap(
      Stream.runForEachArray(events(completion), (batch) =>
        Effect.sync(() => {
          for (const event of batch) if (event._tag === "Chunk") collector.add(event.chunk)
        })
      ),
      () => {
        const answer = collector.result()
        return answer === undefined ? Effect.fail(noChunks(completion)) : Effect.succeed(answer)
      }
    )
  })

const noChunks = ({ candidate }: Completion): ProviderError =>
  new ProviderError({
    provider: candidate.provider,
    reason: { _tag: "BadResponse", detail: "the stream had no chunks" }
  })
