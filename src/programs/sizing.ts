/**
 * How much a request asks for, in tokens: an estimate where that is good
 * enough, an exact count where the estimate comes near the model's limit.
 */
import { Effect } from "effect"
import type { Model } from "../domain/catalog.ts"
import { maxOutputTokens } from "../domain/chat.ts"
import type { ChatRequest } from "../domain/chat.ts"
import type { EmbeddingRequest } from "../domain/embedding.ts"
import { RequestError } from "../domain/errors.ts"
import type { Request } from "./request.ts"

/** Estimated input and output tokens. */
export interface Size {
  readonly input: number
  readonly output: number
}

/** Output tokens reserved for a request that names no limit; settled to the real number afterwards. */
const assumedOutput = 1_024

/** The estimate may be off by this factor; beyond it, it is trusted. */
const margin = 1.5

/** Size a chat request; `ContextTooLong` when prompt and answer cannot fit the model together. */
export const ofChat = (request: Request, model: Model, chat: ChatRequest): Effect.Effect<Size, RequestError> => {
  request.record.model = model.alias
  request.record.stream = chat.stream === true
  return fit(request, model, chat)
}

/** The same for a model that is not the one the caller asked for. */
export const fit = (request: Request, model: Model, chat: ChatRequest): Effect.Effect<Size, RequestError> => {
  const asked = maxOutputTokens(chat)
  const input = request.tokens.estimate(model.alias, chat)
  const output = Math.min(asked ?? assumedOutput, model.maxOutputTokens) * (chat.n ?? 1)
  // Only a limit the caller asked for is held against the context; an assumed one just shrinks.
  const needed = asked ?? 1
  request.record.estimatedInput = input
  if (input * margin + needed <= model.contextTokens) return Effect.succeed({ input, output })
  return Effect.flatMap(request.restore(request.tokens.exact(chat)), (exact) => {
    request.record.estimatedInput = exact
    return exact + needed <= model.contextTokens
      ? Effect.succeed({ input: exact, output: Math.min(output, model.contextTokens - exact) })
      : Effect.fail(
          new RequestError({
            requestId: request.record.id,
            reason: {
              _tag: "ContextTooLong",
              model: model.alias,
              tokens: exact + needed,
              limit: model.contextTokens
            }
          })
        )
  })
}

/** Size an embedding request. Each input has the context to itself, and the provider checks it, so there is no limit here. */
export const ofEmbedding = (request: Request, model: Model, embedding: EmbeddingRequest): number => {
  const input = request.tokens.estimateEmbedding(model.alias, embedding)
  request.record.model = model.alias
  request.record.estimatedInput = input
  return input
}
