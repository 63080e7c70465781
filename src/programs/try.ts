/**
 * One try as it stands: what it holds, how its call is made, and what is to be
 * told to whom when the call answers, fails, or is given up for another.
 *
 * The breaker hears how the call went; refusals on the way to it, the caller's
 * own leaving and a lost hedge it never hears.
 */
import { Cause, Effect, Exit, Predicate, Result, Scope } from "effect"
import { priorityOf } from "../domain/caller.ts"
import * as Candidate from "../domain/candidate.ts"
import { retryAfterMs, rowOf } from "../domain/error-table.ts"
import { ProviderError } from "../domain/errors.ts"
import type { CompleteError } from "../domain/errors.ts"
import type { Attempt } from "../services/attempts.ts"
import type { BulkheadPermit, BulkheadRequest } from "../services/bulkhead.ts"
import type { BreakerLease } from "../services/circuit-breaker.ts"
import type { Lease } from "../services/guard.ts"
import type { PacerPermit, PacerRequest } from "../services/pacer.ts"
import type { UpstreamLimits } from "../services/provider.ts"
import * as LeaseScope from "../services/lease-scope.ts"
import type { Place } from "../services/retry-budget.ts"
import { timeBox } from "../services/timers.ts"
import type { Call } from "./candidates.ts"
import { outcomeOf, tooLate } from "./request.ts"
import type { Request } from "./request.ts"

/**
 * An answer, the log's entry of the call that gave it, and whom to tell how it
 * goes on: the breaker's lease, the bulkhead's and the pacer's permits.
 * `tookMs`: from the call to the answer.
 */
export interface Answered<A> {
  readonly answer: A
  readonly attempt: Attempt
  readonly lease: BreakerLease
  readonly permit: BulkheadPermit
  readonly pace: PacerPermit
  readonly tookMs: number
}

/** A call that has answered, not yet noted. */
export interface Opened<A> {
  readonly self: Try<A>
  readonly answer: A
}

/** What one try knows and holds. As a lease in its own scope it gives back its place in the retry budget. */
export class Try<A> implements Lease {
  readonly request: Request
  readonly candidate: Candidate.Candidate
  readonly key: string
  /** Estimated work of the call, input and output. */
  readonly tokens: number
  readonly call: Call<A>
  readonly attempt: Attempt
  /** A try that fails gives its permit and its connection back before the next begins, whatever the request's scope does. */
  readonly scope = LeaseScope.makeUnsafe()
  /** What the retry budget gave: for a first call, or for an extra one. */
  budget: Place | undefined
  lease: BreakerLease | undefined
  permit: BulkheadPermit | undefined
  pace: PacerPermit | undefined
  /** When the call left, in epoch ms. */
  calledAt = 0
  /** Whether hedging has heard that its first token is late. */
  late = false
  /** Whether it has given back what it holds, or has begun to. */
  closed = false
  /** The second call for the same answer, where there is one. */
  hedge: Try<A> | undefined

  constructor(
    request: Request,
    candidate: Candidate.Candidate,
    tokens: number,
    call: Call<A>,
    attempt: Attempt,
    budget: Place | undefined
  ) {
    this.request = request
    this.candidate = candidate
    this.key = Candidate.key(candidate)
    this.tokens = tokens
    this.call = call
    this.attempt = attempt
    this.budget = budget
    this.lease = undefined
    this.permit = undefined
    this.pace = undefined
    this.hedge = undefined
  }

  release(): void {
    // A try that was refused on its way has cost nothing.
    if (this.attempt.called) this.budget?.release()
    else this.budget?.unused()
  }
}

/** The log's entry of a try that begins; whoever begins it puts it into the log. */
export const entry = (candidate: Candidate.Candidate, retry: number, hedge: boolean, startedAt: number): Attempt => ({
  candidate,
  retry,
  hedge,
  called: false,
  startedAt,
  openedAt: undefined,
  endedAt: undefined,
  outcome: "pending"
})

/** Hold the place that the try has got: given back as unused where its call was never made. */
export const hold = <A>(self: Try<A>, permit: BulkheadPermit): void => {
  self.permit = permit
  LeaseScope.hold(self.scope, () => (self.attempt.called ? permit.release() : permit.unused()))
}

/** Hold the leave to call that the try has got, likewise. */
export const paced = <A>(self: Try<A>, pace: PacerPermit): void => {
  self.pace = pace
  LeaseScope.hold(self.scope, () => (self.attempt.called ? pace.release() : pace.unused()))
}

/** The room in the provider's limit that the try's call needs. */
export const pacing = <A>({ candidate, key, request: { deadline, record }, tokens }: Try<A>): PacerRequest => ({
  provider: candidate.provider,
  key,
  tenant: record.caller.tenant,
  tokens,
  streamed: record.stream,
  deadline
})

/** The place that the try's call needs. */
export const place = <A>({ candidate, request: { deadline, record }, tokens }: Try<A>): BulkheadRequest => ({
  key: candidate.provider,
  tenant: record.caller.tenant,
  plan: record.caller.plan,
  tokens,
  priority: priorityOf(record.caller),
  streamed: record.stream,
  deadline
})

/** Make the call, which left at `calledAt`, in its time. */
export const open = <A>(self: Try<A>): Effect.Effect<A, CompleteError> => {
  const { candidate, request } = self
  const { deadline, provider, record, timeouts, timers } = request
  const firstAtMs = Math.min(self.calledAt + timeouts.firstTokenMs, deadline.atMs)
  const bounds = { firstAtMs, idleMs: timeouts.idleMs, endsAtMs: record.startedAt + timeouts.streamMs }
  const call = Effect.provideService(self.call(candidate, bounds), Scope.Scope, self.scope)
  return provider.bounded?.(candidate) === true
    ? call
    : timeBox(timers, firstAtMs, () => firstTokenTimeout(request, candidate))(call)
}

/** The call has answered: tell it, and hold what it holds until the request ends. */
export const answered = <A>({ answer, self }: Opened<A>): Effect.Effect<Answered<A>> => {
  const { attempt, lease, pace, permit, request, scope } = self
  if (lease === undefined || permit === undefined || pace === undefined)
    return Effect.die("a call was made that nobody had let in")
  const { hedging, record, timers } = request
  attempt.openedAt = timers.now()
  const tookMs = attempt.openedAt - self.calledAt
  lease.succeed(tookMs)
  pace.answered(tookMs, limitsOf(answer))
  if (record.stream) {
    permit.firstToken(tookMs)
    hedging.observe(self.key, tookMs, false, self.late)
  }
  LeaseScope.hold(request.scope, (exit) => LeaseScope.close(scope, exit))
  return Effect.succeed({ answer, attempt, lease, permit, pace, tookMs })
}

/**
 * The try has ended without an answer: note it and tell it, once. The result is
 * the failure as the request sees it.
 */
export const failed = <A>(self: Try<A>, failure: Cause.Cause<CompleteError>): Cause.Cause<CompleteError> => {
  const { attempt, request } = self
  if (attempt.endedAt !== undefined) return failure
  const cause = ownTimeout(self, failure)
  attempt.endedAt = request.timers.now()
  attempt.outcome = outcomeOf(cause)
  if (!attempt.called) return cause
  const tookMs = attempt.endedAt - self.calledAt
  if (request.record.stream) request.hedging.observe(self.key, tookMs, true, self.late)
  const error = Cause.findError(cause)
  if (Result.isSuccess(error)) {
    if (self.lease !== undefined) blame(self.lease, error.success, tookMs)
    if (isOverload(error.success)) self.permit?.dropped()
    if (error.success.reason._tag === "RateLimited") self.pace?.limited(retryAfterMs(error.success))
  }
  return cause
}

/**
 * Give back all that the try holds, once; `undefined` when it is done. Its
 * places go back when its connection has been closed, however long that takes.
 */
export const close = <A>(self: Try<A>, cause: Cause.Cause<unknown>): Effect.Effect<void> | undefined => {
  if (self.closed) return undefined
  self.closed = true
  return LeaseScope.close(self.scope, Exit.failCause(cause))
}

/** What the provider said of its limits, where its answer carries it. */
const limitsOf = (answer: unknown): UpstreamLimits | undefined =>
  // Of what a call can answer with, only a Completion has this field.
  Predicate.hasProperty(answer, "upstream") ? (answer.upstream as UpstreamLimits) : undefined

/** A call that was cut where its own time was not over yet was cut by the request's deadline. */
const ownTimeout = <A>(
  { calledAt, candidate, request }: Try<A>,
  cause: Cause.Cause<CompleteError>
): Cause.Cause<CompleteError> => {
  const failure = Cause.findError(cause)
  if (Result.isFailure(failure)) return cause
  const { _tag, reason } = failure.success
  if (_tag !== "ProviderError" || reason._tag !== "Timeout") return cause
  if (reason.phase !== "first token") {
    // A whole answer that is read as a stream has until the deadline, whatever its stream was waiting for.
    const { deadline, record, timers } = request
    return !record.stream && timers.now() >= deadline.atMs ? Cause.fail(tooLate(request, "provider")) : cause
  }
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
