/**
 * What is asked of a provider for a chat request: what the caller wrote, or,
 * while many wait there, the same for a shorter answer.
 */
import { Effect } from "effect"
import { priorityOf } from "../domain/caller.ts"
import type { Candidate } from "../domain/candidate.ts"
import type { Model } from "../domain/catalog.ts"
import { maxOutputTokens } from "../domain/chat.ts"
import type { ChatRequest } from "../domain/chat.ts"
import type { Completion } from "../services/provider.ts"
import type { Call } from "./candidates.ts"
import type { Kept } from "./collecting.ts"
import { traceparent } from "./request.ts"
import type { Request } from "./request.ts"
import type { Size } from "./sizing.ts"

/**
 * A chat request on its way.
 *
 * - `body`: the JSON text of `chat`, where it is the caller's own
 * - `tokens`: the estimated work of a call, input and output
 * - `shortened`: whether the length of its answer was capped
 * - `kept`: the most that came of a whole answer before it broke off, where answers may be partial
 */
export interface Ask {
  readonly chat: ChatRequest
  readonly body: string | undefined
  readonly tokens: number
  readonly shortened: boolean
  kept: Kept | undefined
}

/** What the caller wrote. */
export const make = (chat: ChatRequest, body: string | undefined, { input, output }: Size): Ask => ({
  chat,
  body,
  tokens: input + output,
  shortened: false,
  kept: undefined
})

/** `written`, or less of it where many wait at `first`, the first who is to be asked for `model`. */
export const underPressure = (request: Request, model: Model, first: Candidate, written: Ask): Effect.Effect<Ask> => {
  const { brownout, bulkhead, record } = request
  const { shorter } = brownout
  if (shorter === undefined || (!shorter.critical && priorityOf(record.caller) === "critical")) {
    return Effect.succeed(written)
  }
  return Effect.map(bulkhead.state(first.provider), ({ limit, queued }) => {
    const chat = queued > shorter.above * limit ? capped(written.chat, model, shorter.maxTokens) : undefined
    if (chat === undefined) return written
    const tokens = Math.min(written.tokens, record.estimatedInput + shorter.maxTokens * (chat.n ?? 1))
    return { chat, body: undefined, tokens, shortened: true, kept: undefined }
  })
}

/** `chat` for at most `most` output tokens; `undefined` where it asks for no more anyway. */
export const capped = (chat: ChatRequest, model: Model, most: number): ChatRequest | undefined => {
  if ((maxOutputTokens(chat) ?? model.maxOutputTokens) <= most) return undefined
  // In the words of the caller: some servers know only the old name, some models refuse it.
  const { max_completion_tokens: modern, max_tokens: old } = chat
  return {
    ...chat,
    ...(typeof modern === "number" ? { max_completion_tokens: Math.min(modern, most) } : {}),
    ...(typeof old === "number" || typeof modern !== "number" ? { max_tokens: Math.min(old ?? most, most) } : {})
  }
}

/** Puts it to one candidate. */
export const call =
  ({ deadline, provider, record }: Request, { body, chat }: Ask): Call<Completion> =>
  (candidate, bounds) =>
    provider.open(candidate, {
      chat,
      body,
      includeUsage: true,
      deadlineMs: deadline.atMs,
      bounds,
      traceparent: traceparent(record)
    })
