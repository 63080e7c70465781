/** What a caller is told that gets no place. */
import { BulkheadError, DeadlineError } from "../../domain/errors.ts"
import type { BulkheadRequest } from "../../services/bulkhead.ts"
import * as Guard from "../../services/guard.ts"

/** Shortest and longest time to the next try that a refusal names, before jitter, in ms. */
const minRetryMs = 200
const maxRetryMs = 60_000

/** When to try again: when the queue has drained, times 0.5 to 1.5, so that those who were refused together do not come back together. */
export const retryAfterMs = (drainMs: number, chance: number): number =>
  Math.min(maxRetryMs, Math.max(minRetryMs, drainMs)) * (0.5 + chance)

/** The deadline has passed, or would before the answer. */
export const tooLate = ({ deadline }: BulkheadRequest, requestId: string | undefined): DeadlineError =>
  Guard.refusal(
    () =>
      new DeadlineError({
        ...Guard.withRequestId(requestId),
        reason: { _tag: "Exceeded", stage: "queue", budgetMs: deadline.budgetMs }
      })
  )

/** No room in the queue, or none that would become a place in time. */
export const full = ({ key }: BulkheadRequest, requestId: string | undefined, afterMs: number): BulkheadError =>
  Guard.refusal(
    () =>
      new BulkheadError({
        ...Guard.withRequestId(requestId),
        reason: { _tag: "QueueFull", key, retryAfterMs: afterMs }
      })
  )

/** No place within the longest wait. */
export const timeout = (
  { key }: BulkheadRequest,
  requestId: string | undefined,
  waitedMs: number,
  afterMs: number
): BulkheadError =>
  Guard.refusal(
    () =>
      new BulkheadError({
        ...Guard.withRequestId(requestId),
        reason: { _tag: "QueueTimeout", key, waitedMs, retryAfterMs: afterMs }
      })
  )
