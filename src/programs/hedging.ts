/**
 * A call with a second one in reserve: when its first token is late, the same
 * is asked for once more, and the first answer of the two wins (Dean and
 * Barroso, "The Tail at Scale", CACM 2013).
 *
 * The second call is made only where all agree at once: hedging itself (not
 * everything is slow, the cost cap holds), kill switch, breaker, bulkhead, pacer
 * and retry budget. It never waits for any of them; where one says no, nothing has
 * happened. The call that loses is ended at once and gives back all it holds.
 */
import { Cause, Effect, Exit, Fiber, Result } from "effect"
import type { Context } from "effect"
import * as Candidate from "../domain/candidate.ts"
import { retryAfterMs, rowOf } from "../domain/error-table.ts"
import type { CompleteError } from "../domain/errors.ts"
import type { Restore } from "../services/guard.ts"
import * as LeaseScope from "../services/lease-scope.ts"
import type { Timer } from "../services/timers.ts"
import * as Try from "./try.ts"
import type { Opened } from "./try.ts"

/**
 * Make the call of `first`, and a second one where the first token takes longer
 * than `delayMs`. The second goes to the same candidate, for it is single calls
 * that are slow; to `spare` where the breaker of that candidate is not closed.
 *
 * What the second call holds stands in `first.hedge`; both calls are the
 * caller's to close when this fails or is interrupted, if they have left and
 * have not been closed.
 */
export const race = <A>(
  first: Try.Try<A>,
  delayMs: number,
  spare: Candidate.Candidate | undefined
): Effect.Effect<Opened<A>, CompleteError> =>
  Effect.withFiber((fiber) => Effect.callback((resume) => new Race(first, spare, fiber.context, resume).begin(delayMs)))

class Race<A> {
  readonly first: Try.Try<A>
  readonly spare: Candidate.Candidate | undefined
  private readonly context: Context.Context<never>
  private readonly resume: (result: Effect.Effect<Opened<A>, CompleteError>) => void
  private readonly timer: Timer
  private firstCall: Fiber.Fiber<A, CompleteError> | undefined
  private secondCall: Fiber.Fiber<Opened<A> | undefined, CompleteError> | undefined
  /** Why the first call failed, while the second may still answer. */
  private failure: Cause.Cause<CompleteError> | undefined
  private secondFailure: Cause.Cause<CompleteError> | undefined
  private over = false

  constructor(
    first: Try.Try<A>,
    spare: Candidate.Candidate | undefined,
    context: Context.Context<never>,
    resume: (result: Effect.Effect<Opened<A>, CompleteError>) => void
  ) {
    this.first = first
    this.spare = spare
    this.context = context
    this.resume = resume
    this.timer = first.request.timers.make(() => this.late())
  }

  /** Begin; the result ends both calls when the caller leaves. */
  begin(delayMs: number): Effect.Effect<void> {
    this.timer.arm(this.first.calledAt + delayMs)
    this.firstCall = Effect.runForkWith(this.context)(Try.open(this.first))
    this.firstCall.addObserver((exit) => this.firstEnded(exit))
    return Effect.suspend(() => this.leave())
  }

  /** Whether a second call is of use: the first is still to answer. */
  get wanted(): boolean {
    return !this.over && this.failure === undefined
  }

  private late(): void {
    const { first } = this
    const { deadline, hedging, timers } = first.request
    first.late = true
    if (!hedging.late(first.key, deadline.atMs - timers.now())) return
    const call = Effect.runForkWith(this.context)(Effect.uninterruptibleMask((restore) => second(this, restore)))
    this.secondCall = call
    call.addObserver((exit) => this.secondEnded(exit))
    // The beginning of the second call may have been the end of the first.
    if (this.over) call.interruptUnsafe()
  }

  private firstEnded(exit: Exit.Exit<A, CompleteError>): void {
    this.timer.disarm()
    const { first } = this
    if (Exit.isSuccess(exit) && !this.over) {
      this.over = true
      // One that has not left yet sees for itself that it is too late.
      if (first.hedge?.attempt.called === true) this.lose(first.hedge, this.secondCall)
      this.resume(Effect.succeed({ self: first, answer: exit.value }))
      return
    }
    this.failure = this.close(first, causeOf(exit))
    if (this.secondCall === undefined || this.secondCall.pollUnsafe() !== undefined) this.fail(this.failure)
  }

  private secondEnded(exit: Exit.Exit<Opened<A> | undefined, CompleteError>): void {
    const { first } = this
    if (Exit.isSuccess(exit) && exit.value !== undefined && !this.over) {
      this.over = true
      this.timer.disarm()
      const { self } = exit.value
      // From here on it is the request's only call: what it does not need any more is the place of an extra one.
      if (this.failure === undefined) [first.budget, self.budget] = [self.budget, first.budget]
      this.lose(first, this.firstCall)
      this.resume(Effect.succeed(exit.value))
      return
    }
    if (first.hedge !== undefined) this.secondFailure = this.close(first.hedge, causeOf(exit))
    if (this.failure !== undefined) this.fail(this.failure)
  }

  /** Neither call answers. The first one's failure speaks for both, unless the provider asked the second for more patience. */
  private fail(cause: Cause.Cause<CompleteError>): void {
    if (this.over) return
    this.over = true
    const { first, secondFailure } = this
    const same = first.hedge?.attempt.called === true && first.hedge.candidate.provider === first.candidate.provider
    const patient = same && secondFailure !== undefined && pauseOf(secondFailure) > pauseOf(cause)
    this.resume(Effect.failCause(patient ? secondFailure : cause))
  }

  /** Nobody waits for this call any more. Its prompt has been worked on all the same. */
  private lose(self: Try.Try<A>, call: Fiber.Fiber<unknown, CompleteError> | undefined): void {
    self.permit?.settle(self.request.record.estimatedInput)
    call?.interruptUnsafe()
    this.close(self, Cause.interrupt())
  }

  /** Note how a call has ended and give back what it holds, without waiting: a finalizer that hangs holds nobody else. */
  private close(self: Try.Try<A>, failure: Cause.Cause<CompleteError>): Cause.Cause<CompleteError> {
    const cause = Try.failed(self, failure)
    const closing = Try.close(self, cause)
    if (closing !== undefined) Effect.runForkWith(this.context)(closing)
    return cause
  }

  /** The caller leaves. */
  private leave(): Effect.Effect<void> {
    this.over = true
    this.timer.disarm()
    return Fiber.interruptAll([this.firstCall, this.secondCall].filter((call) => call !== undefined))
  }
}

/** What a call that came too late, or was not made at all, ends with. */
const causeOf = <E>(exit: Exit.Exit<unknown, E>): Cause.Cause<E> =>
  Exit.isSuccess(exit) ? Cause.interrupt() : exit.cause

/** How long a failure that may be retried asks to wait, in ms; less than nothing for any other. */
const pauseOf = (cause: Cause.Cause<CompleteError>): number => {
  const error = Cause.findError(cause)
  if (Result.isFailure(error) || rowOf(error.success).next !== "retry") return -1
  return retryAfterMs(error.success) ?? 0
}

/** Who takes the second call; nobody, where no breaker is closed: a hedge is no probe. */
const taker: <A>(contest: Race<A>) => Effect.Effect<Candidate.Candidate | undefined> = Effect.fnUntraced(function* ({
  first,
  spare
}) {
  const { breaker } = first.request
  if ((yield* breaker.state(first.key)) === "closed") return first.candidate
  return spare !== undefined && (yield* breaker.state(Candidate.key(spare))) === "closed" ? spare : undefined
})

/** The second call; `undefined`, or a refusal of a guard, where it is not made. In an uninterruptible region. */
const second: <A>(contest: Race<A>, restore: Restore) => Effect.Effect<Opened<A> | undefined, CompleteError> =
  Effect.fnUntraced(function* <A>(contest: Race<A>, restore: Restore) {
    const { first } = contest
    const { request } = first
    const { breaker, bulkhead, hedging, killSwitch, pacer, record, retryBudget, timers } = request
    const candidate = yield* taker(contest)
    if (candidate === undefined) return undefined
    const retry = candidate === first.candidate ? first.attempt.retry : 0
    const attempt = Try.entry(candidate, retry, true, timers.now())
    const self = new Try.Try(request, candidate, first.tokens, first.call, attempt, undefined)
    const { scope } = self
    first.hedge = self
    LeaseScope.hold(scope, self)
    yield* killSwitch.checkProvider(candidate.provider)
    const lease = yield* breaker.acquireUnsafe(self.key)(restore, record.id)
    self.lease = lease
    LeaseScope.hold(scope, lease)
    const permit = contest.wanted ? bulkhead.tryAcquireUnsafe(Try.place(self)) : undefined
    if (permit === undefined) return undefined
    Try.hold(self, permit)
    const pace = pacer.tryAcquireUnsafe(Try.pacing(self))
    if (pace === undefined) return undefined
    Try.paced(self, pace)
    const input = record.estimatedInput
    if (!hedging.spend(input)) return undefined
    const draw = yield* retryBudget.drawUnsafe(restore, record.id)
    self.budget = draw
    if (!draw.granted || !contest.wanted || !lease.begin(record.stream)) {
      hedging.refund(input)
      return undefined
    }
    self.calledAt = timers.now()
    attempt.called = true
    record.attempts.push(attempt)
    return { self, answer: yield* restore(Try.open(self)) }
  })
