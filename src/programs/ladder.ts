/**
 * Down the brownout ladder, once a request's own candidates could not answer:
 * an earlier answer -> the answer of a smaller model -> a part of an answer ->
 * the refusal. (Shorter answers come before any call: `ask.ts`. Streams that
 * break off later are ended in `metering.ts`.)
 *
 * The deadline and the retry budget stay the request's own: a smaller model is
 * one more call for the same answer, so it costs the fleet what a fallback
 * costs. When it cannot answer either, the failure of the model that the
 * caller asked for is the one reported.
 */
import { Cause, Effect, Exit, Result, Stream } from "effect"
import * as Brownout from "../domain/brownout.ts"
import type { Model } from "../domain/catalog.ts"
import type { ChatRequest } from "../domain/chat.ts"
import { keyOf } from "../domain/error-table.ts"
import type { CompleteError } from "../domain/errors.ts"
import { calls } from "../services/attempts.ts"
import * as Guard from "../services/guard.ts"
import type { Completion } from "../services/provider.ts"
import { degrade } from "../services/request-record.ts"
import type { StaleAnswer } from "../services/stale-answers.ts"
import { timeBox } from "../services/timers.ts"
import type { Account } from "./account.ts"
import * as Ask from "./ask.ts"
import * as Candidates from "./candidates.ts"
import * as Collecting from "./collecting.ts"
import * as Metering from "./metering.ts"
import type { Request } from "./request.ts"
import * as Sizing from "./sizing.ts"

/**
 * The best that can be had in place of the answer that failed with `cause`;
 * where that is nothing, `cause`. `chat` is the request as the caller wrote it.
 * Only inside an uninterruptible region.
 */
export const descend = (
  request: Request,
  model: Model,
  account: Account,
  chat: ChatRequest,
  ask: Ask.Ask,
  cause: Cause.Cause<CompleteError>
): Effect.Effect<Completion, CompleteError> => {
  const failure = Cause.findError(cause)
  if (Result.isFailure(failure) || !Brownout.descends(failure.success)) return Effect.failCause(cause)
  const error = failure.success
  return Guard.chain(earlier(request, chat), (found) =>
    found === undefined
      ? smaller(request, model, account, ask, error, error)
      : Effect.succeed(stale(request, account, found, error))
  )
}

/** No store may hold a refusal for longer (ms). */
const lookupMs = 50

/** An earlier answer to the same request, where the store has one and says so in time. */
const earlier = ({ record, restore, staleAnswers, timers }: Request, chat: ChatRequest) => {
  const lookup = staleAnswers.lookup(record.caller, chat)
  if (Exit.isExit(lookup)) return lookup
  const inTime = timeBox(timers, timers.now() + lookupMs, () => undefined)(lookup)
  return restore(inTime).pipe(Effect.catch(() => Effect.succeed(undefined)))
}

/** It was paid for when it was made. */
const stale = (
  request: Request,
  account: Account,
  { ageMs, answer, candidate }: StaleAnswer,
  error: CompleteError
): Completion => {
  const { record, timers } = request
  const reason = keyOf(error)
  record.candidate = candidate
  record.openedAt = timers.now()
  record.chunks = 1
  record.outcome = "ok"
  degrade(record, "stale", reason)
  account.free()
  const upstream = { remainingRequests: undefined, remainingTokens: undefined }
  return { candidate, first: answer, rest: Stream.empty, upstream, degraded: { rung: "stale", reason, ageMs } }
}

/** The smaller models in turn, each where the one before could not answer for want of anything but time and a good request. */
const smaller = (
  request: Request,
  model: Model,
  account: Account,
  ask: Ask.Ask,
  error: CompleteError,
  last: CompleteError
): Effect.Effect<Completion, CompleteError> => {
  const { brownout, deadline, record, timers } = request
  const possible = Brownout.mayAskSmaller(last) && timers.now() < deadline.atMs
  const next = possible ? brownout.smaller(model, record.caller) : undefined
  if (next === undefined) return part(request, account, ask, error)
  return answerOf(request, next, account, ask, error).pipe(
    Effect.catch((failure) => smaller(request, next, account, ask, error, failure))
  )
}

/** The answer of another model than the one the caller asked for, under the same guards. */
const answerOf = Effect.fnUntraced(function* (
  request: Request,
  model: Model,
  account: Account,
  ask: Ask.Ask,
  error: CompleteError
): Effect.fn.Return<Completion, CompleteError> {
  const { killSwitch, record, retryBudget, router } = request
  const { caller } = record
  yield* killSwitch.check({ tenant: caller.tenant, feature: caller.feature, model: model.alias })
  const size = yield* Sizing.fit(request, model, ask.chat)
  const candidates = yield* router.route(model, caller)
  const asking = Collecting.over(request, model, ask)
  const answered = yield* Candidates.firstToAnswer(
    asking,
    candidates,
    size.input + size.output,
    Ask.call(asking, ask),
    calls(record.attempts) > 0 ? error : undefined
  )
  retryBudget.deposit()
  record.answeredBy = model.alias
  degrade(record, "smaller-model", keyOf(error))
  return Metering.meter(request, model, account, answered, ask.shortened)
})

/** What came of a whole answer before its call failed; it is billed, for it was generated. */
const part = (
  request: Request,
  account: Account,
  ask: Ask.Ask,
  error: CompleteError
): Effect.Effect<Completion, CompleteError> =>
  ask.kept === undefined ? Effect.fail(error) : Effect.succeed(Metering.keep(request, account, ask.kept))
