/**
 * What a time would be if nobody waited for anybody: the least that windows
 * showed, and how it changes.
 *
 * A long-term average (Netflix' Gradient2) is no such thing: under an overload
 * that lasts it becomes the overload. So the baseline does not rise while our
 * own calls may be what makes the times long, that is while all places are in
 * use. It rises slowly while they are not, and at once when it is proved that
 * fewer calls would not help: times have stayed long although far fewer are in
 * flight, or as few as there may be. Then the provider itself has become slower.
 */

/** The part of the way to a lower median that one window goes. */
const fall = 0.3
/** The same to a higher one, while places are unused. */
const rise = 0.01
/** So much of the calls in flight must be left, and so much of the excess time must not have gone, for a proof. */
const fewer = 0.6
const effect = 0.5
/** Windows in a row that must prove it. */
const proofs = 2

/** What a window says besides its median. `inFlight` is the mean; `least`: there are no fewer places than these. */
export interface Circumstances {
  readonly inFlight: number
  readonly bound: boolean
  readonly least: boolean
}

export class Baseline {
  private value = 0
  private worst = 0
  private worstInFlight = 0
  private proved = 0

  /** `tolerance`: a median this many times the baseline is long. */
  readonly tolerance: number

  constructor(tolerance: number) {
    this.tolerance = tolerance
  }

  /** The median of a window over the baseline, which learns from it. */
  ratio(median: number, { bound, inFlight, least }: Circumstances): number {
    if (this.value === 0) this.value = median
    const ratio = median / this.value
    if (ratio <= 1) this.value += (median - this.value) * fall
    else if (!bound) this.value += (median - this.value) * rise
    if (ratio <= this.tolerance) {
      this.worst = 0
      this.proved = 0
      return ratio
    }
    if (ratio > this.worst) {
      this.worst = ratio
      this.worstInFlight = inFlight
      this.proved = 0
    }
    const left = inFlight / this.worstInFlight
    if (left <= fewer && 1 - ratio / this.worst >= effect * (1 - left)) {
      this.worst = ratio
      this.worstInFlight = inFlight
      this.proved = 0
    }
    if (least || left <= fewer) this.proved++
    if (this.proved < proofs) return ratio
    this.value = median
    this.worst = 0
    this.proved = 0
    return 1
  }
}
