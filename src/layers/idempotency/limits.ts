/** How long and how much answers under an idempotency key are kept. */

export interface Limits {
  /** How long an answer is kept, in ms. */
  readonly lifeMs: number
  /** Largest answer that is kept, headers and body, in bytes. */
  readonly answerBytes: number
  /** Most answers in the memory of a process; the oldest go first. */
  readonly entries: number
  /** Most bytes of answers in the memory of a process; the oldest go first. */
  readonly bytes: number
  /** How long a key stays taken after its holder was last heard of, in ms; it is heard of three times as often. */
  readonly leaseMs: number
}

export const defaults: Limits = {
  lifeMs: 86_400_000,
  answerBytes: 1_048_576,
  entries: 10_000,
  bytes: 67_108_864,
  leaseMs: 10_000
}

/** Whoever comes while the first request runs is asked to come again in so many ms: an answer takes seconds. */
export const inFlightPauseMs = 1_000
