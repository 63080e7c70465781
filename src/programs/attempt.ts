/**
 * One try at one candidate: kill switch -> breaker -> bulkhead -> time-boxed
 * call. What it takes lives in the scope of the try. The breaker hears how the
 * call went; refusals on the way and the caller's own leaving it never hears.
 */
import { Cause, Effect, Exit, Result } from "effect"
import type { Scope } from "effect"
import * as Candidate from "../domain/candidate.ts"
import { retryAfterMs, rowOf } from "../domain/error-table.ts"
import { ProviderError } from "../domain/errors.ts"
import type { CompleteError, DeadlineError } from "../domain/errors.ts"
import type { Attempt } from "../services/attempts.ts"
import type { BreakerLease } from "../services/circuit-breaker.ts"
import { timeBox } from "../services/timers.ts"
import { tooLate } from "./request.ts"
import type { Request } from "./request.ts"

/** An answer of a provider, and the breaker's lease, to which a stream that breaks later is reported. */
export interface Answered<A> {
  readonly answer: A
  readonly lease: BreakerLease
}

/** Make the call `self` at `candidate` under all guards. `tokens` is its estimated work. */
export const guarded = <A>(
  request: Request,
  candidate: Candidate.Candidate,
  attempt: Attempt,
  tokens: number,
  self: Effect.Effect<A, ProviderError, Scope.Scope>
): Effect.Effect<Answered<A>, CompleteError, Scope.Scope> =>
  Effect.gen(function* () {
    const { breaker, bulkhead, deadline, killSwitch, record, timeouts, timers } = request
    yield* killSwitch.checkProvider(candidate.provider)
    const lease = yield* breaker.acquire(Candidate.key(candidate))
    yield* bulkhead.acquire({
      key: candidate.provider,
      tenant: record.caller.tenant,
      tokens,
      priority: record.caller.critical ? 0 : 1,
      deadline
    })
    const calledAt = timers.now()
    const attemptEndsAt = calledAt + timeouts.firstTokenMs
    const limit = Math.min(attemptEndsAt, deadline.atMs)
    attempt.called = true
    const onTimeout = (): ProviderError | DeadlineError =>
      deadline.atMs < attemptEndsAt ? tooLate(request, "provider") : firstTokenTimeout(request, candidate)
    return yield* Effect.onExit(timeBox(timers, limit, onTimeout)(self), (exit) => {
      verdict(lease, exit, timers.now() - calledAt)
      return Effect.void
    }).pipe(Effect.map((answer) => ({ answer, lease })))
  })

const firstTokenTimeout = ({ record, timeouts }: Request, candidate: Candidate.Candidate): ProviderError =>
  new ProviderError({
    requestId: record.id,
    provider: candidate.provider,
    reason: { _tag: "Timeout", phase: "first token", afterMs: timeouts.firstTokenMs }
  })

/**
 * Tell the breaker. A call that our own deadline cut short counts by its time
 * alone: slow, if it had already been slow; otherwise it says nothing.
 */
const verdict = (lease: BreakerLease, exit: Exit.Exit<unknown, CompleteError>, tookMs: number): void => {
  if (Exit.isSuccess(exit)) return lease.succeed(tookMs)
  const failure = Cause.findError(exit.cause)
  if (Result.isFailure(failure)) return
  const error = failure.success
  if (error._tag === "DeadlineError") return lease.cutShort(tookMs)
  if (rowOf(error).breaker) lease.fail(retryAfterMs(error))
}
