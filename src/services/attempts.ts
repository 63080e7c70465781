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
  /** Whether it is the second call of a hedge: one that was made while the first was still to answer. */
  readonly hedge: boolean
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

/**
 * Calls that lost a hedge to `answered`, of which nobody had anything. (Nothing
 * but a call that lost ends as `cancelled` in a request that goes on to its answer.)
 */
export const lost = (log: ReadonlyArray<Attempt>, answered: Attempt): number => {
  let count = 0
  for (const attempt of log) if (attempt !== answered && attempt.called && attempt.outcome === "cancelled") count++
  return count
}
