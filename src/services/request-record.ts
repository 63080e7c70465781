/**
 * One flat record for each request: who asks and until when, when each stage
 * ended, what was tried, what it cost. Guards and adapters read it through one
 * reference, `CurrentRecord`. It is cheap enough to keep for all requests; telemetry
 * makes metrics from every record and a span tree only from the sampled,
 * failed or slow ones.
 */
import { Context } from "effect"
import type { DegradedReason, Rung } from "../domain/brownout.ts"
import type { CapState } from "../domain/budget.ts"
import type { Candidate } from "../domain/candidate.ts"
import { isRefusal, rowOfKey } from "../domain/error-table.ts"
import type { Caller } from "../domain/caller.ts"
import type { Money } from "../domain/money.ts"
import type { Outcome } from "../domain/outcome.ts"
import type { Usage } from "../domain/usage.ts"
import type { AttemptLog } from "./attempts.ts"
import { none } from "./deadline.ts"
import type { Deadline } from "./deadline.ts"
import type { LimitState } from "./rate-limiter.ts"

/**
 * W3C trace context of the request: ids in lower-case hex. `spanId` is what
 * calls to providers name as their parent: the request's own span where it is
 * sampled, else the span the caller sent.
 */
export interface TraceContext {
  readonly traceId: string
  readonly spanId: string
  readonly sampled: boolean
  /** Whether the caller sent it. */
  readonly incoming: boolean
}

/** The record. Fields are filled in as the request goes along. All times are epoch ms. */
export interface RequestRecord {
  readonly id: string
  readonly operation: "chat" | "embeddings"
  readonly caller: Caller
  readonly startedAt: number
  trace: TraceContext | undefined
  readonly attempts: AttemptLog
  /** Until when; set when the request enters the guards. */
  deadline: Deadline
  /** The alias that the caller asked for. */
  model: string | undefined
  /** The alias of the model that answered, where it is another one. */
  answeredBy: string | undefined
  stream: boolean
  candidate: Candidate | undefined
  estimatedInput: number
  limits: ReadonlyArray<LimitState>
  /** Caps of the caller's budget that are past their soft threshold. */
  budgetWarnings: ReadonlyArray<CapState>
  admittedAt: number | undefined
  /** When the first token (or the whole answer) was here. */
  openedAt: number | undefined
  endedAt: number | undefined
  chunks: number
  usage: Usage | undefined
  /** Whether `usage` is what the provider reported, not our estimate. */
  usageExact: boolean
  /** Input tokens of calls that lost a hedge: billed, but no part of the answer's `usage`. */
  extraTokens: number
  /** All that is billed for the answer, `extraTokens` included. */
  cost: Money
  /** How far down the brownout ladder the request went, and why. */
  rung: Rung
  degradedReason: DegradedReason | undefined
  outcome: Outcome
}

/** The record of the current request, set by whoever owns its id (the server); `complete` makes its own where none is set. */
export const CurrentRecord = Context.Reference<RequestRecord | undefined>("ballast/services/RequestRecord", {
  defaultValue: () => undefined
})

/** A fresh record. */
export const make = (options: {
  readonly id: string
  readonly operation: RequestRecord["operation"]
  readonly caller: Caller
  readonly startedAt: number
  readonly trace?: TraceContext | undefined
}): RequestRecord => ({
  id: options.id,
  operation: options.operation,
  caller: options.caller,
  startedAt: options.startedAt,
  trace: options.trace,
  attempts: [],
  deadline: none,
  model: undefined,
  answeredBy: undefined,
  stream: false,
  candidate: undefined,
  estimatedInput: 0,
  limits: [],
  budgetWarnings: [],
  admittedAt: undefined,
  openedAt: undefined,
  endedAt: undefined,
  chunks: 0,
  usage: undefined,
  usageExact: false,
  extraTokens: 0,
  cost: 0,
  rung: "full",
  degradedReason: undefined,
  outcome: "pending"
})

/** The request is answered from a lower rung of the brownout ladder. */
export const degrade = (record: RequestRecord, rung: Rung, reason: DegradedReason): void => {
  record.rung = rung
  record.degradedReason = reason
}

/** The request has ended without an answer: how, and that it was refused where the fault was not the client's. */
export const fail = (record: RequestRecord, outcome: Outcome): void => {
  record.outcome = outcome
  switch (outcome) {
    case "pending":
    case "ok":
    case "cancelled":
    case "defect":
      return
    default:
      if (isRefusal(rowOfKey(outcome).status)) degrade(record, "refused", outcome)
  }
}
