/**
 * How a window of reports changes an adaptive limit.
 *
 * A provider whose calls share a processor makes its times grow in proportion
 * to the calls in flight once these are too many. So a window says how many
 * would have been right: as many as were in flight, times what the median
 * should be, over what it was. It reckons from the calls in flight and not from
 * the limit: those above a limit that was lowered go on for a while, and must
 * not lower it again.
 *
 * The gradient is that of Netflix' concurrency-limits (`Gradient2Limit`), the
 * constant that is added that of TCP Vegas (Brakmo and Peterson, 1995): it lets
 * a small limit grow, and brings several processes before one provider to equal
 * limits, which products alone would not.
 */

/** What a window has shown. */
export interface Window {
  readonly limit: number
  /** The slowest signal's median over its baseline; 0 where none had reports enough. */
  readonly ratio: number
  /** Mean of the calls in flight. */
  readonly inFlight: number
  /** Whether the provider refused more than a stray call for overload. */
  readonly dropped: boolean
}

/** The limit that follows from a window, before floor, ceiling and the bounds of one step. */
export type Step = (window: Window) => number

/** Medians up to this many times the baseline are as they should be. */
export const tolerance = 1.15

/** Places beyond those that fit. */
const headroom = 1

/** What is left of the calls in flight after a window with refusals. */
const afterDrops = 0.7

/** Most growth in one window. */
const growth = 1.5

/** See the module's comment. */
export const gradient: Step = ({ dropped, inFlight, limit, ratio }) => {
  if (dropped) return Math.min(limit, inFlight) * afterDrops
  if (ratio === 0) return limit
  const fits = (inFlight * tolerance) / ratio + headroom
  return ratio > tolerance ? Math.min(limit + headroom, fits) : Math.min(limit * growth, Math.max(limit, fits))
}
