/**
 * How many calls may be in flight at one provider: the small interface between
 * the bulkhead and whatever sets the limit, and the limit that is fixed.
 *
 * Reports are those of the permits (`BulkheadPermit`); times are ms, `now` is
 * epoch ms, `inFlight` is how many calls are in flight at that moment, the
 * reporting one included.
 */
export interface Limit {
  /** The limit at this moment. It may be less than what is in flight: nothing is revoked. */
  readonly current: number
  /** A place was taken: `inFlight` with it. */
  readonly taken: (inFlight: number) => void
  /** A stream showed its first token after `ms`. */
  readonly firstToken: (now: number, ms: number, inFlight: number) => void
  /** `tokens` tokens of a stream took `ms`. */
  readonly pace: (now: number, tokens: number, ms: number, inFlight: number) => void
  /** A whole answer of `tokens` tokens took `ms`. */
  readonly answered: (now: number, tokens: number, ms: number, inFlight: number) => void
  /** The provider refused a call for being overloaded. */
  readonly dropped: (now: number, inFlight: number) => void
}

const ignore = (): void => {}

/** A limit that stays. */
export const fixed = (limit: number): Limit => ({
  current: limit,
  taken: ignore,
  firstToken: ignore,
  pace: ignore,
  answered: ignore,
  dropped: ignore
})
