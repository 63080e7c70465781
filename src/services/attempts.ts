/**
 * What has been tried: one entry for each call that left for a provider (or
 * was refused on its way there), in order. The log is part of the request's
 * record, so any guard or adapter can read how often the request was tried.
 */
import type { Candidate } from "../domain/candidate.ts"
import type { Outcome } from "../domain/outcome.ts"

/** One try. Times are epoch ms. */
export interface Attempt {
  readonly candidate: Candidate
  /** 0 for the first try on this candidate. */
  readonly retry: number
  /** Whether a call to the provider was made; `false` for a refusal by breaker, bulkhead or kill switch. */
  called: boolean
  readonly startedAt: number
  openedAt: number | undefined
  endedAt: number | undefined
  outcome: Outcome
}

/** The tries of one request. */
export type AttemptLog = Array<Attempt>

/** Calls that really left for a provider. */
export const calls = (log: ReadonlyArray<Attempt>): number => {
  let count = 0
  for (const attempt of log) if (attempt.called) count++
  return count
}
