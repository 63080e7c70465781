/**
 * One try at one candidate: kill switch -> breaker -> bulkhead -> pacer ->
 * time-boxed call, and a second call beside it where its first token is late. What it
 * takes lives in a scope of its own: a try that fails gives its permit and its
 * connection back before the next begins, one that succeeds keeps them until
 * its answer has been read.
 */
import { Cause, Effect, Result } from "effect"
import type { Candidate } from "../domain/candidate.ts"
import type { CompleteError } from "../domain/errors.ts"
import * as LeaseScope from "../services/lease-scope.ts"
import type { Place } from "../services/retry-budget.ts"
import type { Call } from "./candidates.ts"
import * as Hedging from "./hedging.ts"
import { tooLate } from "./request.ts"
import type { Request } from "./request.ts"
import * as Try from "./try.ts"
import type { Answered, Opened } from "./try.ts"

export type { Answered } from "./try.ts"

/**
 * Make one try; where it fails, `otherwise` decides how the request goes on:
 * `called` says whether a provider was called. `extra` is the budget's grant,
 * where this is not the first call; `spare` is who else may take a second call
 * for a late first token. Only inside an uninterruptible region.
 */
export const make = <A>(
  request: Request,
  candidate: Candidate,
  spare: Candidate | undefined,
  retry: number,
  extra: Place | undefined,
  tokens: number,
  call: Call<A>,
  otherwise: (error: CompleteError, called: boolean) => Effect.Effect<Answered<A>, CompleteError>
): Effect.Effect<Answered<A>, CompleteError> => {
  const { deadline, record, timers } = request
  const startedAt = timers.now()
  if (startedAt >= deadline.atMs) {
    extra?.unused()
    return Effect.fail(tooLate(request, "provider"))
  }
  const attempt = Try.entry(candidate, retry, false, startedAt)
  record.attempts.push(attempt)
  const self = new Try.Try(request, candidate, tokens, call, attempt, extra)
  return Effect.matchCauseEffect(steps(self, spare), {
    onSuccess: Try.answered,
    onFailure: (failure) => {
      const cause = Try.failed(self, failure)
      const error = Cause.findError(cause)
      const next = Result.isSuccess(error)
        ? Effect.suspend(() => otherwise(error.success, attempt.called))
        : Effect.failCause(error.failure)
      const { hedge } = self
      return giveBack(self, cause, hedge?.attempt.called === true ? giveBack(hedge, cause, next) : next)
    }
  })
}

/** Give back all that a try holds, then go on. */
const giveBack = <A, B, E>(
  self: Try.Try<A>,
  cause: Cause.Cause<CompleteError>,
  next: Effect.Effect<B, E>
): Effect.Effect<B, E> => {
  const closing = Try.close(self, Try.failed(self, cause))
  // Detached: a finalizer of a provider that hangs keeps its permit, but must not hold the caller.
  return closing === undefined ? next : Effect.andThen(Effect.forkDetach(closing, { startImmediately: true }), next)
}

// Defined once: a generator function made for each call costs a hidden class each time.
const steps: <A>(self: Try.Try<A>, spare: Candidate | undefined) => Effect.Effect<Opened<A>, CompleteError> =
  Effect.fnUntraced(function* <A>(self: Try.Try<A>, spare: Candidate | undefined) {
    const { attempt, candidate, request, scope } = self
    const { breaker, bulkhead, hedging, killSwitch, pacer, record, restore, retryBudget } = request
    self.budget ??= yield* retryBudget.enterUnsafe(restore, record.id)
    LeaseScope.hold(scope, self)
    yield* killSwitch.checkProvider(candidate.provider)
    let lease = yield* breaker.acquireUnsafe(self.key)(restore, record.id)
    LeaseScope.hold(scope, lease)
    const permit = yield* bulkhead.acquireUnsafe(Try.place(self))(restore, record.id)
    Try.hold(self, permit)
    // Last, so that nobody who is still to wait for a place has taken room in the provider's limit.
    const pace = yield* pacer.acquireUnsafe(Try.pacing(self))(restore, record.id)
    Try.paced(self, pace)
    // What the breaker said before the queues may not hold any more.
    while (!lease.begin(record.stream)) {
      lease = yield* breaker.acquireUnsafe(self.key)(restore, record.id)
      LeaseScope.hold(scope, lease)
    }
    self.lease = lease
    self.calledAt = attempt.startedAt + permit.waitedMs + pace.waitedMs
    attempt.called = true
    // A whole answer has no first token: its time is that of its length.
    const delayMs = record.stream ? hedging.delayMs(self.key) : undefined
    if (delayMs === undefined) return { self, answer: yield* restore(Try.open(self)) }
    return yield* restore(Hedging.race(self, delayMs, spare))
  })
