/** Drives a simulated provider in virtual time and writes down what a caller sees, and when. */
import { Cause, Clock, Effect, Exit, Fiber, Option, Stream } from "effect"
import { TestClock } from "effect/testing"
import type { ChatRequest } from "../../../../../src/domain/chat.ts"
import type { ProviderError } from "../../../../../src/domain/errors.ts"
import { events } from "../../../../../src/services/provider.ts"
import type { CompletionEvent, OpenRequest, Upstream } from "../../../../../src/services/provider.ts"

export const candidate = { provider: "sim", model: "sim-large" }

export const chat = (rest: Partial<ChatRequest> = {}): ChatRequest => ({
  model: "any",
  messages: [{ role: "user", content: "Tell me about the harbour." }],
  ...rest
})

export const open = (body: ChatRequest, rest: Partial<OpenRequest> = {}): OpenRequest => ({
  chat: body,
  body: undefined,
  includeUsage: false,
  deadlineMs: Infinity,
  traceparent: undefined,
  ...rest
})

/** What one call saw. Times are ms since it began. */
export interface Seen {
  readonly events: ReadonlyArray<CompletionEvent>
  readonly times: ReadonlyArray<number>
  readonly openedAt: number | undefined
  readonly endedAt: number
  readonly error: ProviderError | undefined
}

/** One call to its end. */
export const call = (upstream: Upstream, request: OpenRequest): Effect.Effect<Seen> =>
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const start = clock.currentTimeMillisUnsafe()
    const since = () => Math.round((clock.currentTimeMillisUnsafe() - start) * 1000) / 1000
    const seen: Array<CompletionEvent> = []
    const times: Array<number> = []
    let openedAt: number | undefined
    const exit = yield* Effect.exit(
      Effect.scoped(
        Effect.flatMap(upstream.open(candidate, request), (completion) => {
          openedAt = since()
          return Stream.runForEach(events(completion), (event) =>
            Effect.sync(() => {
              seen.push(event)
              times.push(since())
            })
          )
        })
      )
    )
    const failure = Exit.isFailure(exit) ? Cause.findErrorOption(exit.cause) : Option.none()
    if (Exit.isFailure(exit) && Option.isNone(failure)) return yield* Effect.failCause(exit.cause as Cause.Cause<never>)
    return { events: seen, times, openedAt, endedAt: since(), error: Option.getOrUndefined(failure) }
  })

/** Run `self` while virtual time passes, `forMs` at most. */
export const within = <A, E, R>(forMs: number, self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(self)
    yield* TestClock.adjust(forMs)
    return yield* Fiber.join(fiber)
  })

/** The text of all choices 0 of a call. */
export const textOf = (seen: Seen): string =>
  seen.events
    .map((event) => {
      if (event._tag === "Chunk") return event.chunk.choices[0]?.delta.content ?? ""
      const content = event.completion.choices[0]?.message["content"]
      return typeof content === "string" ? content : ""
    })
    .join("")

/** No chance in the times: 100 ms to the first token, 10 ms for each further one, 5 tokens. */
export const steady = {
  ttft: { medianMs: 100, sigma: 0 },
  perToken: { medianMs: 10, sigma: 0 },
  outputTokens: { median: 5, sigma: 0 }
}
