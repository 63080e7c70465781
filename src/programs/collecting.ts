/**
 * Whole answers put together here from streams, for callers who may have them
 * in part: of a plain JSON answer that does not come in time, nothing is there
 * at all.
 *
 * An answer is asked for as a stream and read until it ends or the request's
 * deadline comes. What has come by then is the answer, in part. One that breaks
 * off earlier is a failed call like any other (tried again, sent elsewhere);
 * the longest of them is kept for when nothing else can be had.
 */
import { Effect, Stream } from "effect"
import type { Scope } from "effect"
import type { Model } from "../domain/catalog.ts"
import type { ChatCompletion } from "../domain/chat.ts"
import * as Collect from "../domain/collect.ts"
import { keyOf } from "../domain/error-table.ts"
import { ProviderError } from "../domain/errors.ts"
import type { CompleteError } from "../domain/errors.ts"
import * as Partial from "../domain/partial.ts"
import type { Completion, CompletionEvent, OpenRequest, Upstream } from "../services/provider.ts"
import { timeBox } from "../services/timers.ts"
import type { Ask } from "./ask.ts"
import { charsOfChunk } from "./metering.ts"
import { tooLate } from "./request.ts"
import type { Request } from "./request.ts"
import * as Waits from "./waits.ts"

/** A part of a whole answer, the model that gave it, and the tokens its prompt was estimated at. */
export interface Kept {
  readonly completion: Completion
  readonly model: Model
  readonly input: number
  readonly chars: number
}

/**
 * The request with a provider that collects its whole answers for `model`; the
 * request itself where it is for a stream, or its caller takes no parts.
 */
export const over = (request: Request, model: Model, ask: Ask): Request => {
  const { brownout, provider, record } = request
  if (record.stream || !brownout.partial(record.caller)) return request
  return {
    ...request,
    provider: {
      ...provider,
      // The whole answer has no bound but the deadline, and its parts are watched below.
      bounded: () => true,
      open: (candidate, asked) => collected(request, provider, model, ask, candidate, asked)
    }
  }
}

const collected = (
  request: Request,
  provider: Upstream,
  model: Model,
  ask: Ask,
  candidate: Completion["candidate"],
  asked: OpenRequest
): Effect.Effect<Completion, ProviderError, Scope.Scope> => {
  const { deadline, record, timeouts, timers } = request
  const bounded = provider.bounded?.(candidate) === true
  const opened = provider.open(candidate, {
    ...asked,
    chat: { ...asked.chat, stream: true },
    body: undefined,
    bounds: asked.bounds && { ...asked.bounds, endsAtMs: Math.min(asked.bounds.endsAtMs, deadline.atMs) }
  })
  const late = () =>
    new ProviderError({
      requestId: record.id,
      provider: candidate.provider,
      reason: { _tag: "Timeout", phase: "first token", afterMs: timeouts.firstTokenMs }
    })
  return Effect.flatMap(
    bounded ? opened : timeBox(timers, asked.bounds?.firstAtMs ?? deadline.atMs, late)(opened),
    (completion) =>
      completion.first._tag === "Whole"
        ? Effect.succeed(completion)
        : gathered(request, model, ask, completion, bounded)
  )
}

/** Read a stream to its end, or until the deadline. */
const gathered = (
  request: Request,
  model: Model,
  ask: Ask,
  completion: Completion,
  bounded: boolean
): Effect.Effect<Completion, ProviderError> => {
  const { brownout, deadline, record, timers } = request
  const collector = Collect.make()
  let chars = 0
  const see = (event: CompletionEvent): void => {
    if (event._tag === "Whole") return
    collector.add(event.chunk)
    chars += charsOfChunk(event.chunk)
  }
  see(completion.first)
  const wholeOf = (answer: ChatCompletion): Completion => ({
    ...completion,
    first: { _tag: "Whole", completion: answer, data: JSON.stringify(answer), chars },
    rest: Stream.empty
  })
  const partOf = (error: CompleteError): Completion | undefined => {
    const answer = collector.result()
    const part = answer && Partial.ofCollected(answer, Partial.bannerOf(error, record.id, brownout.refusal))
    return part && { ...wholeOf(part), degraded: { rung: "partial", reason: keyOf(error) } }
  }
  const rest = bounded
    ? completion.rest
    : Waits.streamInTime(completion.rest, Waits.inTime(request, completion.candidate, deadline.atMs, deadline.budgetMs))
  return Effect.matchEffect(
    Stream.runForEachArray(rest, (events) => Effect.sync(() => events.forEach(see))),
    {
      onSuccess: () => {
        const answer = collector.result()
        return answer === undefined ? Effect.die("a stream without its first chunk") : Effect.succeed(wholeOf(answer))
      },
      onFailure: (error) => {
        const atTheEnd = timers.now() >= deadline.atMs
        const part = partOf(atTheEnd ? tooLate(request, "provider") : error)
        if (part === undefined) return Effect.fail(error)
        if (atTheEnd) return Effect.succeed(part)
        if (ask.kept === undefined || ask.kept.chars < chars) {
          ask.kept = { completion: part, model, input: record.estimatedInput, chars }
        }
        return Effect.fail(error)
      }
    }
  )
}
