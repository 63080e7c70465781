/**
 * One try at one candidate: kill switch -> breaker -> bulkhead -> time-boxed
 * call. What it takes lives in a scope of its own: a try that fails gives its
 * permit and its connection back before the next begins, one that succeeds
 * keeps them until its answer has been read.
 *
 * The breaker hears how the call went; refusals on the way and the caller's
 * own leaving it never hears.
 */
import { Cause, Effect, Exit, Result, Scope } from "effect"
import { priorityOf } from "../domain/caller.ts"
import * as Candidate from "../domain/candidate.ts"
import { retryAfterMs, rowOf } from "../domain/error-table.ts"
import { ProviderError } from "../domain/errors.ts"
import type { CompleteError } from "../domain/errors.ts"
import type { Attempt } from "../services/attempts.ts"
import type { BulkheadPermit } from "../services/bulkhead.ts"
import type { BreakerLease } from "../services/circuit-breaker.ts"
import type { Lease } from "../services/guard.ts"
import * as LeaseScope from "../services/lease-scope.ts"
import { timeBox } from "../services/timers.ts"
import type { Call } from "./candidates.ts"
import { outcomeOf, tooLate } from "./request.ts"
import type { Request } from "./request.ts"

/** An answer, and whom to tell how it goes on: the breaker's lease and the bulkhead's permit. `tookMs`: from the call to it. */
export interface Answered<A> {
  readonly answer: A
  readonly lease: BreakerLease
  readonly permit: BulkheadPermit
  readonly tookMs: number
}

/** What one try knows. `lease` and `calledAt` are there once it has got so far. */
interface Try<A> {
  readonly request: Request
  readonly candidate: Candidate.Candidate
  readonly extra: Lease | undefined
  readonly tokens: number
  readonly call: Call<A>
  readonly attempt: Attempt
  readonly scope: LeaseScope.LeaseScope
  lease: BreakerLease | undefined
  permit: BulkheadPermit | undefined
  calledAt: number
}

/**
 * Make one try; where it fails, `otherwise` decides how the request goes on.
 * `extra` is the budget's grant, where this is not the first call. Only inside
 * an uninterruptible region.
 */
export const make = <A>(
  request: Request,
  candidate: Candidate.Candidate,
  retry: number,
  extra: Lease | undefined,
  tokens: number,
  call: Call<A>,
  otherwise: (error: CompleteError) => Effect.Effect<Answered<A>, CompleteError>
): Effect.Effect<Answered<A>, CompleteError> => {
  const { deadline, record, timers } = request
  const startedAt = timers.now()
  if (startedAt >= deadline.atMs) {
    extra?.release()
    return Effect.fail(tooLate(request, "provider"))
  }
  const attempt = begin(record.attempts, candidate, retry, startedAt)
  const scope = LeaseScope.makeUnsafe()
  const self: Try<A> = {
    request,
    candidate,
    extra,
    tokens,
    call,
    attempt,
    scope,
    lease: undefined,
    permit: undefined,
    calledAt: 0
  }
  return Effect.matchCauseEffect(steps(self), {
    onSuccess: (answered) => {
      attempt.openedAt = timers.now()
      const tookMs = attempt.openedAt - self.calledAt
      answered.lease.succeed(tookMs)
      if (record.stream) answered.permit.firstToken(tookMs)
      LeaseScope.hold(request.scope, (exit) => LeaseScope.close(scope, exit))
      return Effect.succeed({ ...answered, tookMs })
    },
    onFailure: (failed) => {
      const cause = ownTimeout(request, self, failed)
      attempt.endedAt = timers.now()
      attempt.outcome = outcomeOf(cause)
      const failure = Cause.findError(cause)
      if (self.lease !== undefined && attempt.called && Result.isSuccess(failure)) {
        blame(self.lease, failure.success, attempt.endedAt - self.calledAt)
        if (isOverload(failure.success)) self.permit?.dropped()
      }
      const closing = LeaseScope.close(scope, Exit.failCause(cause))
      const next = Result.isSuccess(failure)
        ? Effect.suspend(() => otherwise(failure.success))
        : Effect.failCause(failure.failure)
      // Detached: a finalizer of a provider that hangs keeps its permit, but must not hold the caller.
      return closing === undefined ? next : Effect.andThen(Effect.forkDetach(closing, { startImmediately: true }), next)
    }
  })
}

// Defined once: a generator function made for each call costs a hidden class each time.
const steps: <A>(self: Try<A>) => Effect.Effect<Omit<Answered<A>, "tookMs">, CompleteError> = Effect.fnUntraced(
  function* <A>(self: Try<A>) {
    const { attempt, candidate, request, scope } = self
    const { breaker, bulkhead, deadline, killSwitch, record, restore, retryBudget, timeouts, timers } = request
    if (self.extra === undefined) LeaseScope.hold(scope, yield* retryBudget.enterUnsafe(restore, record.id))
    else LeaseScope.hold(scope, self.extra)
    yield* killSwitch.checkProvider(candidate.provider)
    const lease = yield* breaker.acquireUnsafe(Candidate.key(candidate))(restore, record.id)
    self.lease = lease
    LeaseScope.hold(scope, lease)
    const place = {
      key: candidate.provider,
      tenant: record.caller.tenant,
      plan: record.caller.plan,
      tokens: self.tokens,
      priority: priorityOf(record.caller),
      streamed: record.stream,
      deadline
    }
    const permit = yield* bulkhead.acquireUnsafe(place)(restore, record.id)
    self.permit = permit
    LeaseScope.hold(scope, permit)
    lease.begin()
    self.calledAt = attempt.startedAt + permit.waitedMs
    attempt.called = true
    const attemptEndsAt = self.calledAt + timeouts.firstTokenMs
    const firstAtMs = Math.min(attemptEndsAt, deadline.atMs)
    const bounds = { firstAtMs, idleMs: timeouts.idleMs, endsAtMs: record.startedAt + timeouts.streamMs }
    const call = Effect.provideService(self.call(candidate, bounds), Scope.Scope, scope)
    const answer = yield* restore(
      request.provider.bounded?.(candidate) === true
        ? call
        : timeBox(timers, firstAtMs, () => firstTokenTimeout(request, candidate))(call)
    )
    return { answer, lease, permit }
  }
)

const begin = (log: Array<Attempt>, candidate: Candidate.Candidate, retry: number, startedAt: number): Attempt => {
  const attempt: Attempt = {
    candidate,
    retry,
    called: false,
    startedAt,
    openedAt: undefined,
    endedAt: undefined,
    outcome: "pending"
  }
  log.push(attempt)
  return attempt
}

/** A call that was cut where its own time was not over yet was cut by the request's deadline. */
const ownTimeout = <A>(
  request: Request,
  { calledAt, candidate }: Try<A>,
  cause: Cause.Cause<CompleteError>
): Cause.Cause<CompleteError> => {
  const failure = Cause.findError(cause)
  if (Result.isFailure(failure)) return cause
  const { _tag, reason } = failure.success
  if (_tag !== "ProviderError" || reason._tag !== "Timeout" || reason.phase !== "first token") return cause
  return Cause.fail(
    request.deadline.atMs < calledAt + request.timeouts.firstTokenMs
      ? tooLate(request, "provider")
      : firstTokenTimeout(request, candidate)
  )
}

const firstTokenTimeout = ({ record, timeouts }: Request, candidate: Candidate.Candidate): ProviderError =>
  new ProviderError({
    requestId: record.id,
    provider: candidate.provider,
    reason: { _tag: "Timeout", phase: "first token", afterMs: timeouts.firstTokenMs }
  })

/** Whether the provider says that it has too much to do: the one kind of failure that speaks about the limit before it. */
const isOverload = ({ reason }: CompleteError): boolean => reason._tag === "RateLimited" || reason._tag === "Overloaded"

/**
 * Tell the breaker of a failure. A call that our own deadline cut short counts
 * by its time alone: slow, if it had already been slow; otherwise not at all.
 */
const blame = (lease: BreakerLease, error: CompleteError, tookMs: number): void => {
  if (error._tag === "DeadlineError") lease.cutShort(tookMs)
  else if (rowOf(error).breaker) lease.fail(retryAfterMs(error))
}
