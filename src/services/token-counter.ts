/**
 * How many tokens a request is. On the hot path an estimate from the text's
 * length, calibrated by what providers report; exact counting, which is some
 * hundred times dearer, only where the estimate comes near a limit.
 */
import { Context, Effect } from "effect"
import type { ChatRequest } from "../domain/chat.ts"
import type { EmbeddingRequest } from "../domain/embedding.ts"

export class TokenCounter extends Context.Service<
  TokenCounter,
  {
    /** Estimated input tokens of a chat request for `model` (the alias). */
    readonly estimate: (model: string, request: ChatRequest) => number
    /** Estimated input tokens of an embedding request. */
    readonly estimateEmbedding: (model: string, request: EmbeddingRequest) => number
    /** Estimated tokens of a piece of output text of `chars` characters. */
    readonly estimateText: (model: string, chars: number) => number
    /** Input tokens by a real tokenizer (o200k); dear, so only near a limit. */
    readonly exact: (request: ChatRequest) => Effect.Effect<number>
    /** Learn from what a provider reported for a request that was estimated at `estimated` tokens. */
    readonly learn: (model: string, estimated: number, reported: number) => void
  }
>()("ballast/services/TokenCounter") {}
