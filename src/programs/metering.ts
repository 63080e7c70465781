/**
 * After the commit point: watch an answer go by. Counts its chunks and tokens,
 * cuts it when it falls silent or lives too long, and settles what was
 * reserved, exactly once, when it ends, breaks, or its reader leaves.
 */
import { Cause, Effect, Stream } from "effect"
import type { Array, Pull } from "effect"
import * as Catalog from "../domain/catalog.ts"
import type { ChatChunk, ChatCompletion } from "../domain/chat.ts"
import { keyOf } from "../domain/error-table.ts"
import { ProviderError } from "../domain/errors.ts"
import * as Usage from "../domain/usage.ts"
import * as LeaseScope from "../services/lease-scope.ts"
import type { Completion, CompletionEvent } from "../services/provider.ts"
import type { Reservation } from "../services/rate-limiter.ts"
import { timeBoxes } from "../services/timers.ts"
import type { Answered } from "./attempt.ts"
import type { Request } from "./request.ts"

/** Wrap an answer so that reading it meters it, and register its settlement with the request's scope. */
export const meter = (
  request: Request,
  model: Catalog.Model,
  reservation: Reservation,
  { answer: completion, lease, permit, tookMs }: Answered<Completion>
): Completion => {
  const { record, scope, timeouts, timers, tokens } = request
  let chars = 0
  const attempt = record.attempts.at(-1)
  record.candidate = completion.candidate
  record.openedAt = timers.now()

  const see = (event: CompletionEvent): void => {
    record.chunks++
    const usage = event._tag === "Chunk" ? event.chunk.usage : event.completion.usage
    if (isUsage(usage)) {
      record.usage = usage
      record.usageExact = true
    }
    chars += event._tag === "Chunk" ? charsOfChunk(event.chunk) : usage ? 0 : charsOfWhole(event.completion)
  }
  const ended = (outcome: typeof record.outcome): void => {
    if (record.outcome !== "pending") return
    record.outcome = outcome
    if (attempt !== undefined) {
      attempt.outcome = outcome
      attempt.endedAt = timers.now()
    }
  }
  const settle = (): void => {
    ended("cancelled")
    if (record.usage === undefined) {
      record.usage = Usage.make(record.estimatedInput, tokens.estimateText(model.alias, chars))
    } else {
      tokens.learn(model.alias, record.estimatedInput, record.usage.prompt_tokens)
    }
    record.cost = Catalog.cost(model.price, record.usage)
    const total = record.usage.prompt_tokens + record.usage.completion_tokens
    reservation.settle(total)
    permit.settle(total)
    request.hedging.earn(total)
  }

  see(completion.first)
  if (completion.first._tag === "Whole") {
    ended("ok")
    settle()
    if (!record.stream) permit.answered(record.usage?.completion_tokens ?? 0, tookMs)
    return completion
  }
  LeaseScope.hold(scope, settle)

  const streamEndsAt = record.startedAt + timeouts.streamMs
  const timeout = (phase: "idle" | "total", afterMs: number) =>
    new ProviderError({
      requestId: record.id,
      provider: completion.candidate.provider,
      reason: { _tag: "Timeout", phase, afterMs }
    })
  const bounded = request.provider.bounded?.(completion.candidate) === true
  /** Each wait for more under the idle limit and the stream's own end, for a provider that does not keep them itself. */
  const inTime = (
    pull: Pull.Pull<Array.NonEmptyReadonlyArray<CompletionEvent>, ProviderError>
  ): Pull.Pull<Array.NonEmptyReadonlyArray<CompletionEvent>, ProviderError> => {
    const idleAt = timers.now() + timeouts.idleMs
    return idleAt <= streamEndsAt
      ? box(idleAt, () => timeout("idle", timeouts.idleMs))(pull)
      : box(streamEndsAt, () => timeout("total", timeouts.streamMs))(pull)
  }
  const box = timeBoxes(timers)
  /** Tokens of the run that is being timed, and when it began. */
  let run = 0
  let runFrom = record.openedAt
  /** Breaker and bulkhead hear the stream's pace a run at a time: a single gap says little. */
  const pace = (chunks: number): void => {
    run += chunks
    const now = timers.now()
    if (run < runTokens && now - runFrom < runMs) return
    lease.gap((now - runFrom) / run)
    permit.pace(run, now - runFrom)
    run = 0
    runFrom = now
  }
  const watched = (pull: Pull.Pull<Array.NonEmptyReadonlyArray<CompletionEvent>, ProviderError>) => {
    const boxed = bounded ? pull : Effect.suspend(() => inTime(pull))
    return Effect.matchCauseEffect(boxed, {
      onSuccess: (events) => {
        for (let i = 0; i < events.length; i++) see(events[i]!)
        pace(events.length)
        return Effect.succeed(events)
      },
      onFailure: (cause) => {
        const error = Cause.findError(cause)
        if (error._tag === "Success") {
          if (Cause.isDone(error.success)) {
            ended("ok")
          } else {
            ended(keyOf(error.success))
            lease.fail()
          }
        } else if (Cause.hasDies(cause)) {
          ended("defect")
        }
        return Effect.failCause(cause)
      }
    })
  }
  const rest = Stream.transformPull(completion.rest, (pull) => Effect.succeed(watched(pull)))
  return { ...completion, rest }
}

/** A run of a stream's tokens is timed when it has so many chunks, or has taken so long (ms), whichever is first. */
const runTokens = 16
const runMs = 1_000

const isCount = (n: unknown): boolean => Number.isSafeInteger(n) && Number(n) >= 0

/** Chunks are not checked by a schema, and what is no number must not get into accounts. */
const isUsage = (usage: Usage.Usage | null | undefined): usage is Usage.Usage =>
  typeof usage === "object" && usage !== null && isCount(usage.prompt_tokens) && isCount(usage.completion_tokens)

const charsOfChunk = (chunk: ChatChunk): number => {
  let chars = 0
  for (const choice of chunk.choices) {
    const delta = choice.delta
    if (typeof delta?.content === "string") chars += delta.content.length
    if (delta?.tool_calls !== undefined) {
      for (const call of delta.tool_calls) chars += call.function?.arguments?.length ?? 0
    }
  }
  return chars
}

const charsOfWhole = (completion: ChatCompletion): number => {
  let chars = 0
  for (const { message } of completion.choices) {
    chars += typeof message["content"] === "string" ? message["content"].length : JSON.stringify(message).length
  }
  return chars
}
