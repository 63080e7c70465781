/**
 * One request from begin to end: its record, its one deadline, its log of
 * attempts, its scope. Whatever happens to it (answered, refused, failed,
 * interrupted), everything it holds is given back and its record is closed
 * exactly once.
 */
import { Cause, Context, Effect, Exit, Random, Result, Scope } from "effect"
import { isBallastError, keyOf } from "../domain/error-table.ts"
import type { Candidate } from "../domain/candidate.ts"
import { DeadlineError } from "../domain/errors.ts"
import type { CompleteError } from "../domain/errors.ts"
import type { Outcome } from "../domain/outcome.ts"
import type { Timeouts } from "../domain/policy.ts"
import type { Usage } from "../domain/usage.ts"
import { CurrentCaller } from "../services/caller.ts"
import * as Deadline from "../services/deadline.ts"
import { CurrentTimeouts } from "../services/policy.ts"
import * as Record from "../services/request-record.ts"
import { CurrentRecord, make } from "../services/request-record.ts"
import type { RequestRecord } from "../services/request-record.ts"
import * as LeaseScope from "../services/lease-scope.ts"
import type { Account } from "./account.ts"
import * as Guard from "../services/guard.ts"
import { resolve } from "./guards.ts"
import type { Requirements, Resolved } from "./guards.ts"

/** What a running request knows about itself, handed from stage to stage. */
export interface Request extends Resolved {
  readonly record: RequestRecord
  readonly deadline: Deadline.Deadline
  readonly timeouts: Timeouts
  /** Holds what the request has taken, until its answer has been read. */
  readonly scope: LeaseScope.LeaseScope
  /**
   * The stages run uninterruptibly, so that nothing they take can be lost;
   * `restore` is for their waits.
   */
  readonly restore: Guard.Restore
  /** End it from outside of its fiber; all that it holds is given back. */
  readonly interrupt: () => void
}

/**
 * Run one request: open (or take over) its record, set its deadline, hand both
 * to everything below.
 *
 * A request that fails or is interrupted gives back at once all that it holds.
 * One that succeeds holds its permits and its upstream connection until the
 * caller's scope closes, because its stream is still to be read.
 */
export const run = <A>(
  operation: RequestRecord["operation"],
  body: (request: Request) => Effect.Effect<A, CompleteError>
): Effect.Effect<A, CompleteError, Requirements> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.withFiber((fiber) => {
      // The result requires them, so they are in the fiber's context.
      const outer = fiber.context as Context.Context<Requirements>
      const guards = resolve(outer)
      const now = guards.timers.now()
      const given = Context.get(outer, CurrentRecord)
      const record = given ?? newRecord(operation, outer, now)
      const timeouts = Context.get(outer, CurrentTimeouts)
      const budgetMs = record.caller.critical ? timeouts.hardMs : Math.min(timeouts.hardMs, timeouts.nonCriticalMs)
      const deadline = Deadline.within(now, budgetMs, Context.get(outer, Deadline.Deadline))
      record.deadline = deadline
      const scope = LeaseScope.makeUnsafe()
      guards.telemetry.begin(record)
      // First in, last out: whatever the stages take is given back before the record is closed.
      LeaseScope.hold(scope, (exit) => end(guards, record, exit))
      const work = body({
        ...guards,
        record,
        deadline,
        timeouts,
        scope,
        restore,
        interrupt: () => fiber.interruptUnsafe()
      })
      return Effect.onExit(
        given === undefined ? Effect.provideService(work, CurrentRecord, record) : work,
        (exit) => LeaseScope.leave(scope, Context.get(outer, Scope.Scope), exit) ?? Effect.void
      )
    })
  )

/** The outcome that an error, an interruption or a defect is in the record. */
export const outcomeOf = (cause: Cause.Cause<unknown>): Outcome => {
  const failure = Cause.findError(cause)
  return Result.isSuccess(failure) && isBallastError(failure.success)
    ? keyOf(failure.success)
    : Cause.hasInterrupts(cause)
      ? "cancelled"
      : "defect"
}

/** Close the record. An outcome that the stages already wrote down (a stream that ended or broke) stays. */
const end = (guards: Resolved, record: RequestRecord, exit: Exit.Exit<unknown, unknown>) => {
  record.endedAt = guards.timers.now()
  if (record.outcome === "pending") {
    // A scope that closes well while the answer is still pending: its reader left early.
    Record.fail(record, Exit.isFailure(exit) ? outcomeOf(exit.cause) : "cancelled")
  }
  guards.telemetry.end(record)
}

const newRecord = (operation: RequestRecord["operation"], context: Context.Context<never>, startedAt: number) => {
  const random = Context.get(context, Random.Random)
  return make({ id: newId(random), operation, caller: Context.get(context, CurrentCaller), startedAt })
}

/** 28 random bits as seven hex digits and a leading one, so that no digit is ever missing. */
const hex = (random: Context.Service.Shape<typeof Random.Random>) =>
  ((random.nextDoubleUnsafe() * 0x1000_0000) | 0x1000_0000).toString(16)

/** A request id: `req_` and 84 random bits. */
export const newId = (random: Context.Service.Shape<typeof Random.Random>): string =>
  `req_${hex(random)}${hex(random)}${hex(random)}`

/**
 * The limits have let the request in: hold what they reserved, and note where
 * they stand. Should its place be lost while it runs, it ends.
 */
export const admitted = (request: Request, account: Account): void => {
  const { record, scope, timers } = request
  LeaseScope.hold(scope, account)
  record.admittedAt = timers.now()
  record.limits = account.limits.states
  record.budgetWarnings = account.budget.warnings
  account.lease.onLost(() => {
    if (record.outcome === "pending") Record.fail(record, "LeaseError.Lost")
    request.interrupt()
  })
}

/** A whole answer is here: note who gave it and what it cost. */
export const answered = (
  { record, timers }: Request,
  candidate: Candidate,
  usage: Usage,
  cost: RequestRecord["cost"]
): void => {
  const now = timers.now()
  const attempt = record.attempts.at(-1)
  if (attempt !== undefined) {
    attempt.outcome = "ok"
    attempt.endedAt = now
  }
  record.candidate = candidate
  record.openedAt = now
  record.chunks = 1
  record.usage = usage
  record.usageExact = true
  record.cost = cost
  record.outcome = "ok"
}

/** The `traceparent` header for calls to providers (W3C Trace Context); the request's own span is the parent. */
export const traceparent = ({ trace }: RequestRecord): string | undefined =>
  trace === undefined ? undefined : `00-${trace.traceId}-${trace.spanId}-${trace.sampled ? "01" : "00"}`

/** The error of a request whose deadline has come in `stage`. */
export const tooLate = ({ deadline, record }: Request, stage: string): DeadlineError =>
  Guard.refusal(
    () => new DeadlineError({ requestId: record.id, reason: { _tag: "Exceeded", stage, budgetMs: deadline.budgetMs } })
  )
