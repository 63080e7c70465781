/**
 * The candidates of a request in turn, until one answers. Every try has a
 * scope of its own: a failed one gives its permit and its connection back
 * before the next begins.
 *
 * The class of an error decides between another try, the next candidate and
 * the end (RetryPolicy); every try after a call that failed draws on the
 * budget (RetryBudget). A try after a mere local refusal draws nothing, for
 * the provider has not been bothered.
 */
import { Cause, Effect, Exit, Result } from "effect"
import type { Candidate } from "../domain/candidate.ts"
import type { CompleteError } from "../domain/errors.ts"
import type { Attempt } from "../services/attempts.ts"
import * as LeaseScope from "../services/lease-scope.ts"
import type { Requirements } from "./guards.ts"
import { outcomeOf, tooLate } from "./request.ts"
import type { Request } from "./request.ts"

/** Makes one try at one candidate; its permits and connection go into the scope of the try. */
export type Try<A> = (candidate: Candidate, attempt: Attempt) => Effect.Effect<A, CompleteError, Requirements>

/** Try the candidates in turn; the first answer wins. */
export const firstToAnswer = <A>(
  request: Request,
  candidates: readonly [Candidate, ...Array<Candidate>],
  attemptOn: Try<A>
): Effect.Effect<A, CompleteError, Requirements> => {
  const { deadline, record, retryBudget, retryPolicy, timers } = request
  /** The last failure of a call that was really made: more telling than the refusals after it. */
  let called: CompleteError | undefined

  const attempt = (
    index: number,
    candidate: Candidate,
    retry: number,
    pauseMs: number
  ): Effect.Effect<A, CompleteError, Requirements> =>
    Effect.catch(
      LeaseScope.nested(called === undefined ? first(candidate, retry) : extra(candidate, retry, pauseMs)),
      (error) => after(error, index, candidate, retry)
    )

  const first = (
    candidate: Candidate,
    retry: number
  ): Effect.Effect<A, CompleteError | typeof budgetSpent, Requirements> =>
    Effect.andThen(retryBudget.enter, tryOnce(candidate, retry))

  const extra = (candidate: Candidate, retry: number, pauseMs: number): ReturnType<typeof first> =>
    Effect.flatMap(retryBudget.draw, (drawn): ReturnType<typeof first> =>
      drawn ? Effect.andThen(Effect.sleep(pauseMs), tryOnce(candidate, retry)) : Effect.fail(budgetSpent)
    )

  const tryOnce = (candidate: Candidate, retry: number): Effect.Effect<A, CompleteError, Requirements> =>
    Effect.suspend(() => {
      const startedAt = timers.now()
      if (startedAt >= deadline.atMs) return Effect.fail(tooLate(request, "provider"))
      const entry: Attempt = {
        candidate,
        retry,
        called: false,
        startedAt,
        openedAt: undefined,
        endedAt: undefined,
        outcome: "pending"
      }
      record.attempts.push(entry)
      return Effect.onExit(attemptOn(candidate, entry), (exit) => {
        const now = timers.now()
        if (Exit.isSuccess(exit)) {
          entry.openedAt = now
        } else {
          entry.endedAt = now
          entry.outcome = outcomeOf(exit.cause)
          const failure = Cause.findError(exit.cause)
          if (entry.called && Result.isSuccess(failure)) called = failure.success
        }
        return Effect.void
      })
    })

  const after = (
    error: CompleteError | typeof budgetSpent,
    index: number,
    candidate: Candidate,
    retry: number
  ): Effect.Effect<A, CompleteError, Requirements> => {
    if (error._tag === "BudgetSpent") return Effect.fail(called ?? tooLate(request, "retry"))
    return Effect.flatMap(retryPolicy.decide(error, retry, deadline), (decision) => {
      const next = candidates[index + 1]
      if (decision._tag === "Retry") return attempt(index, candidate, retry + 1, decision.afterMs)
      if (decision._tag === "Next" && next !== undefined) return attempt(index + 1, next, 0, 0)
      return Effect.fail(called ?? error)
    })
  }

  return attempt(0, candidates[0], 0, 0)
}

/** The budget did not grant another try: what went wrong before is the answer. */
const budgetSpent = { _tag: "BudgetSpent" } as const
