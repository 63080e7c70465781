/**
 * The candidates of a request in turn, until one answers.
 *
 * The class of an error decides between another try, the next candidate and
 * the end (RetryPolicy); every try after a call that failed draws on the
 * budget (RetryBudget). A try after a mere local refusal draws nothing, for
 * the provider has not been bothered.
 */
import { Effect } from "effect"
import type { Scope } from "effect"
import type { Candidate } from "../domain/candidate.ts"
import type { CompleteError, ProviderError } from "../domain/errors.ts"
import type { Place } from "../services/retry-budget.ts"
import type { Bounds } from "../services/transport.ts"
import * as Attempt from "./attempt.ts"
import { tooLate } from "./request.ts"
import type { Request } from "./request.ts"

/** Makes the call itself; the connection goes into the scope. */
export type Call<A> = (candidate: Candidate, bounds: Bounds) => Effect.Effect<A, ProviderError, Scope.Scope>

/**
 * Call the candidates in turn; the first answer wins. `tokens` is the estimated
 * work of a call. `failed` is the failure of a call that this request has made
 * before: then the first try draws on the budget too.
 */
export const firstToAnswer = <A>(
  request: Request,
  candidates: readonly [Candidate, ...Array<Candidate>],
  tokens: number,
  call: Call<A>,
  failed?: CompleteError
): Effect.Effect<Attempt.Answered<A>, CompleteError> => {
  const { deadline, record, restore, retryBudget, retryPolicy } = request
  /** The last failure of a call that was really made: more telling than the refusals after it. */
  let called = failed

  /** `extra` is what the budget granted for a try after a call that failed. */
  const attempt = (
    index: number,
    candidate: Candidate,
    retry: number,
    extra?: Place
  ): Effect.Effect<Attempt.Answered<A>, CompleteError> =>
    Attempt.make(request, candidate, candidates[index + 1], retry, extra, tokens, call, (error, wasCalled) =>
      after(error, wasCalled, index, candidate, retry)
    )

  const after = (
    error: CompleteError,
    wasCalled: boolean,
    index: number,
    candidate: Candidate,
    retry: number
  ): Effect.Effect<Attempt.Answered<A>, CompleteError> => {
    if (wasCalled) called = error
    return Effect.flatMap(retryPolicy.decide(error, retry, deadline), (decision) => {
      const next = candidates[index + 1]
      if (decision._tag === "Retry")
        return again(decision.afterMs, (extra) => attempt(index, candidate, retry + 1, extra))
      if (decision._tag === "Next" && next !== undefined) return again(0, (extra) => attempt(index + 1, next, 0, extra))
      return Effect.fail(called ?? error)
    })
  }

  /** Another try, under the budget where a call has failed; where the budget is spent, that failure is the answer. */
  const again = (
    pauseMs: number,
    next: (extra: Place | undefined) => Effect.Effect<Attempt.Answered<A>, CompleteError>
  ): Effect.Effect<Attempt.Answered<A>, CompleteError> =>
    called === undefined
      ? next(undefined)
      : Effect.flatMap(retryBudget.drawUnsafe(restore, record.id), (draw) => {
          if (!draw.granted) return Effect.fail(called ?? tooLate(request, "retry"))
          if (pauseMs <= 0) return next(draw)
          return Effect.andThen(
            // A caller that leaves during the pause never makes the extra call.
            Effect.onInterrupt(restore(Effect.sleep(pauseMs)), () => Effect.sync(() => draw.unused())),
            Effect.suspend(() => next(draw))
          )
        })

  return again(0, (extra) => attempt(0, candidates[0], 0, extra))
}
