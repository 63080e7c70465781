/** What a caller is told whose call cannot leave in time. */
import { DeadlineError, PacerError } from "../../domain/errors.ts"
import * as Guard from "../../services/guard.ts"
import type { PacerRequest } from "../../services/pacer.ts"
import type { Wait } from "./supply.ts"

/** Shortest time to the next try that a refusal names, in ms, and jitter on top: those who were refused together do not come back together. */
const minRetryMs = 200
const spread = 0.2

const later = (ms: number, chance: number): number => Math.max(minRetryMs, ms) * (1 + spread * chance)

/** The limit has no room in time. */
export const noRoom = (key: string, requestId: string | undefined, { ms, unit }: Wait, chance: number): PacerError =>
  Guard.refusal(
    () =>
      new PacerError({
        ...Guard.withRequestId(requestId),
        reason: { _tag: "NoRoom", key, unit, retryAfterMs: later(ms, chance) }
      })
  )

/** The provider asked for a longer pause. */
export const paused = (key: string, requestId: string | undefined, ms: number, chance: number): PacerError =>
  Guard.refusal(
    () =>
      new PacerError({
        ...Guard.withRequestId(requestId),
        reason: { _tag: "Paused", key, retryAfterMs: later(ms, chance) }
      })
  )

/** The deadline has passed. */
export const tooLate = ({ deadline }: PacerRequest, requestId: string | undefined): DeadlineError =>
  Guard.refusal(
    () =>
      new DeadlineError({
        ...Guard.withRequestId(requestId),
        reason: { _tag: "Exceeded", stage: "pacing", budgetMs: deadline.budgetMs }
      })
  )
