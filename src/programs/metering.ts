/**
 * After the commit point: watch an answer go by. Counts its chunks and tokens,
 * cuts it when it falls silent or lives too long, and settles what was
 * reserved, exactly once, when it ends, breaks, or its reader leaves. Where
 * answers may be partial, one that breaks is ended as such instead.
 */
import { Cause, Effect, Stream } from "effect"
import type { Degraded } from "../domain/brownout.ts"
import * as Catalog from "../domain/catalog.ts"
import type { ChatChunk, ChatCompletion } from "../domain/chat.ts"
import { keyOf, rowOf } from "../domain/error-table.ts"
import type { BudgetError, ProviderError } from "../domain/errors.ts"
import * as Money from "../domain/money.ts"
import * as Partial from "../domain/partial.ts"
import * as Usage from "../domain/usage.ts"
import { lost } from "../services/attempts.ts"
import * as LeaseScope from "../services/lease-scope.ts"
import type { ChunkEvent, Completion, CompletionEvent } from "../services/provider.ts"
import { degrade } from "../services/request-record.ts"
import type { RequestRecord } from "../services/request-record.ts"
import type { Account } from "./account.ts"
import type { Answered } from "./attempt.ts"
import type { Kept } from "./collecting.ts"
import { CostCap } from "./cost-cap.ts"
import type { Request } from "./request.ts"
import * as Waits from "./waits.ts"

/**
 * Wrap an answer so that reading it meters it, and register its settlement with
 * the request's scope. `shortened`: its length was capped, for there is pressure.
 */
export const meter = (
  request: Request,
  model: Catalog.Model,
  account: Account,
  { answer: completion, attempt, lease, pace: paced, permit, tookMs }: Answered<Completion>,
  shortened = false
): Completion => {
  const { brownout, record, scope, timeouts, timers, tokens } = request
  let chars = 0
  const partial = brownout.partial(record.caller)
  const costCap =
    account.watched && completion.first._tag === "Chunk" ? new CostCap(request, model, account) : undefined
  const watch = shortened || partial || costCap !== undefined ? new Partial.Watch() : undefined
  record.candidate = completion.candidate
  record.openedAt = timers.now()

  const see = (event: CompletionEvent): void => {
    record.chunks++
    const usage = event._tag === "Chunk" ? event.chunk.usage : event.completion.usage
    if (isUsage(usage)) {
      record.usage = usage
      record.usageExact = true
    }
    if (event._tag === "Chunk") {
      chars += charsOfChunk(event.chunk)
      if (watch !== undefined) watch.see(event.chunk)
    } else if (!isUsage(usage)) chars += event.chars ?? charsOfWhole(event.completion)
  }
  const ended = (outcome: typeof record.outcome, ofAttempt = outcome): void => {
    if (record.outcome !== "pending") return
    record.outcome = outcome
    attempt.outcome = ofAttempt
    attempt.endedAt = timers.now()
  }
  const settle = (): void => {
    ended("cancelled")
    record.usage ??= countOf(request, model, record.estimatedInput, chars)
    if (record.usageExact) {
      tokens.learn(model.alias, record.estimatedInput, record.usage.prompt_tokens)
    }
    // The prompt of a call that lost a hedge was the same, and is billed too.
    record.extraTokens = lost(record.attempts, attempt) * record.usage.prompt_tokens
    record.cost = Catalog.cost(model.price, record.usage) + Money.ofTokens(record.extraTokens, model.price.input)
    const total = record.usage.prompt_tokens + record.usage.completion_tokens
    account.settle(record)
    permit.settle(total)
    paced.settle(total)
    request.hedging.earn(total)
  }

  see(completion.first)
  if (completion.first._tag === "Whole") {
    const cut = completion.degraded
    ended("ok", cut === undefined || cut.reason === "pressure" || cut.reason === "budget" ? "ok" : cut.reason)
    settle()
    if (!record.stream) permit.answered(record.usage?.completion_tokens ?? 0, tookMs)
    if (cut !== undefined) degrade(record, cut.rung, cut.reason)
    else if (shortened && isCut(completion.first.completion)) degrade(record, "shorter", "pressure")
    return record.rung === "full" ? completion : withNote(record, completion)
  }
  LeaseScope.hold(scope, settle)

  const endsAtMs = record.startedAt + timeouts.streamMs
  const wait =
    request.provider.bounded?.(completion.candidate) === true
      ? undefined
      : Waits.inTime(request, completion.candidate, endsAtMs, timeouts.streamMs)
  const { degradedReason, rung } = record
  // The headers of a stream go before its end is known: they say that its length is capped.
  if (shortened) degrade(record, "shorter", "pressure")
  /** The answer is complete. One that its cap did not cut is no shorter than any other. */
  const complete = (): void => {
    ended("ok")
    if (record.rung !== "shorter" || watch?.lengthMet === true) return
    record.rung = rung
    record.degradedReason = degradedReason
  }
  /** The stream breaks off: the events that end it as a partial answer, where that is possible. */
  const broken = (error: ProviderError): readonly [ChunkEvent, ...Array<ChunkEvent>] | undefined => {
    // Neither what the client did wrong nor a reader who took too long speaks against the provider.
    if (rowOf(error).breaker && !readerLate) lease.fail()
    const reason = keyOf(error)
    // What the reader is told is what is billed.
    const untold = record.usage === undefined ? countOf(request, model, record.estimatedInput, chars) : undefined
    const end = partial ? watch?.ending(Partial.bannerOf(error, record.id, brownout.refusal), untold) : undefined
    if (end === undefined) {
      ended(reason)
      return undefined
    }
    ended("ok", reason)
    degrade(record, "partial", reason)
    const [first, ...others] = end
    return [eventOf(first), ...others.map(eventOf)]
  }
  /** A partial answer has been ended: nothing follows. */
  let over = false
  /** The stream has used up its money: its last events, and the end. */
  const cut = (
    events: readonly [CompletionEvent, ...Array<CompletionEvent>],
    error: BudgetError
  ): readonly [CompletionEvent, ...Array<CompletionEvent>] => {
    over = true
    ended("ok")
    degrade(record, "partial", keyOf(error))
    record.usage ??= countOf(request, model, record.estimatedInput, chars)
    const end = watch?.stopped(Partial.bannerOf(error, record.id, brownout.refusal), record.usage) ?? []
    return [...events, ...end.map(eventOf)]
  }
  /** There was always something there for the reader until the stream's time was over. */
  let readerLate = false
  /** Tokens of the run that is being timed, how long was waited for them, and since when for the next. */
  let run = 0
  let runWaited = 0
  let waitsSince = record.openedAt
  /**
   * Breaker and bulkhead hear the stream's pace a run at a time: a single gap
   * says little. Only the waits for the provider count: a reader who takes his
   * time between them says nothing about it.
   */
  const pace = (chunks: number): void => {
    run += chunks
    runWaited += timers.now() - waitsSince
    if (run < runTokens && runWaited < runMs) return
    lease.gap(runWaited / run)
    permit.pace(run, runWaited)
    run = 0
    runWaited = 0
  }
  const watched = (pull: Waits.Events): Waits.Events => {
    const next = wait === undefined ? pull : wait(pull)
    const late = Effect.suspend(() =>
      Effect.fail(Waits.timeout(completion.candidate, record, "total", timeouts.streamMs))
    )
    const waited = Effect.suspend(() => {
      if (over) return Cause.done()
      waitsSince = timers.now()
      // Where there is always something there for a slow reader, nobody else ends the stream in time.
      readerLate = waitsSince >= endsAtMs
      return readerLate ? late : next
    })
    return Effect.matchCauseEffect(waited, {
      onSuccess: (events) => {
        for (let i = 0; i < events.length; i++) see(events[i]!)
        pace(events.length)
        const checked = costCap?.check(chars)
        if (costCap === undefined || checked === undefined) return Effect.succeed(events)
        return Effect.map(checked, (mayGoOn) => (mayGoOn ? events : cut(events, costCap.error())))
      },
      onFailure: (cause) => {
        const error = Cause.findError(cause)
        if (error._tag === "Success") {
          if (Cause.isDone(error.success)) complete()
          else {
            const ending = broken(error.success)
            over = ending !== undefined
            if (ending !== undefined) return Effect.succeed(ending)
          }
        } else if (Cause.hasDies(cause)) {
          ended("defect")
        }
        return Effect.failCause(cause)
      }
    })
  }
  const rest = Stream.transformPull(completion.rest, (pull) => Effect.succeed(watched(pull)))
  return record.rung === "full" ? { ...completion, rest } : withNote(record, { ...completion, rest })
}

/** The accounts of a part of an answer whose call is over: there is nothing left to watch. */
export const keep = (request: Request, account: Account, { chars, completion, input, model }: Kept): Completion => {
  const { record, timers } = request
  const reported = completion.first._tag === "Whole" ? completion.first.completion.usage : undefined
  record.candidate = completion.candidate
  if (model.alias !== record.model) record.answeredBy = model.alias
  record.openedAt = timers.now()
  record.chunks = 1
  record.usageExact = isUsage(reported)
  record.usage = isUsage(reported) ? reported : countOf(request, model, input, chars)
  record.cost = Catalog.cost(model.price, record.usage)
  record.outcome = "ok"
  if (completion.degraded !== undefined) degrade(record, completion.degraded.rung, completion.degraded.reason)
  const total = record.usage.prompt_tokens + record.usage.completion_tokens
  account.settle(record)
  request.hedging.earn(total)
  return withNote(record, completion)
}

/** Our own count of an answer of `chars` characters, where the provider reports none. */
const countOf = ({ tokens }: Request, model: Catalog.Model, input: number, chars: number): Usage.Usage =>
  Usage.make(input, tokens.estimateText(model.alias, chars))

const eventOf = (chunk: ChatChunk): ChunkEvent => ({ _tag: "Chunk", chunk, data: JSON.stringify(chunk) })

/** Whether an answer was ended by its length. */
const isCut = (completion: ChatCompletion): boolean =>
  completion.choices.some(({ finish_reason }) => finish_reason === "length")

/** A completion with what its record says about the ladder. A part of a whole answer shows what was counted of it. */
const withNote = ({ degradedReason, rung, usage }: RequestRecord, completion: Completion): Completion => {
  if (rung === "full" || degradedReason === undefined) return completion
  const degraded: Degraded = { rung, reason: degradedReason }
  const { first } = completion
  if (rung !== "partial" || first._tag !== "Whole" || usage === undefined) return { ...completion, degraded }
  const answer = { ...first.completion, usage }
  return { ...completion, first: { _tag: "Whole", completion: answer, data: JSON.stringify(answer) }, degraded }
}

/** A run of a stream's tokens is timed when it has so many chunks, or has taken so long (ms), whichever is first. */
const runTokens = 16
const runMs = 1_000

const isCount = (n: unknown): boolean => Number.isSafeInteger(n) && Number(n) >= 0

/** Chunks are not checked by a schema, and what is no number must not get into accounts. */
export const isUsage = (usage: Usage.Usage | null | undefined): usage is Usage.Usage =>
  typeof usage === "object" && usage !== null && isCount(usage.prompt_tokens) && isCount(usage.completion_tokens)

/** Characters of text and tool calls in a chunk: what tokens are counted from where no provider reports them. */
export const charsOfChunk = (chunk: ChatChunk): number => {
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
