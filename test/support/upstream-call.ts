/**
 * Short ways to call an upstream in tests: requests with the usual values, and
 * an answer read to its end.
 */
import { Effect, Exit, Stream } from "effect"
import type { Scope } from "effect"
import type { Candidate } from "../../src/domain/candidate.ts"
import type { ChatChunk, ChatDelta, ChatRequest } from "../../src/domain/chat.ts"
import type { ProviderError } from "../../src/domain/errors.ts"
import type { CompletionEvent, OpenRequest, Upstream } from "../../src/services/provider.ts"

export const candidate: Candidate = { provider: "up", model: "upstream-model" }

/** A chat request under an alias; `stream` and more by `chat`. */
export const openRequest = (chat: Partial<ChatRequest> = {}, rest: Partial<OpenRequest> = {}): OpenRequest => ({
  chat: { model: "alias", messages: [{ role: "user", content: "hi" }], ...chat },
  body: undefined,
  includeUsage: false,
  deadlineMs: Infinity,
  traceparent: undefined,
  ...rest
})

/** Everything an upstream sends, and how it ended. */
export const read = (
  upstream: Upstream,
  request: OpenRequest
): Effect.Effect<
  { readonly events: ReadonlyArray<CompletionEvent>; readonly end: Exit.Exit<void, ProviderError> },
  ProviderError,
  Scope.Scope
> =>
  Effect.gen(function* () {
    const completion = yield* upstream.open(candidate, request)
    const events: Array<CompletionEvent> = [completion.first]
    const end = yield* Effect.exit(
      Stream.runForEach(completion.rest, (event) => Effect.sync(() => void events.push(event)))
    )
    return { events, end }
  })

/** A chunk of one choice in OpenAI's shape. */
export const chunk = (delta: ChatDelta, finish_reason: string | null = null, index = 0): ChatChunk => ({
  id: "c1",
  object: "chat.completion.chunk",
  created: 1,
  model: "upstream-model",
  choices: [{ index, delta, finish_reason }]
})

/** A frame of a stream. */
export const frame = (value: unknown, event?: string): string =>
  `${event === undefined ? "" : `event: ${event}\n`}data: ${typeof value === "string" ? value : JSON.stringify(value)}\n\n`
