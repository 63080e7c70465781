/**
 * What a time would be if nobody waited for anybody: about the least that its
 * windows have shown, and how it changes.
 *
 * A long-term average (as of Netflix' Gradient2) is no such thing: under an
 * overload that lasts it becomes the overload. So while all places are in use,
 * and our own calls may be what makes times long, the baseline does not rise.
 * It rises slowly while they are not. And it rises at once when it is proved
 * that fewer calls do not help: far fewer were in flight and times fell by much
 * less, or there are no fewer places. Then the provider itself has become
 * slower, or others keep it busy, and giving up places would serve nobody.
 */

/** The part of the way that one window goes: to a lower median, and to a higher one while places are unused. */
const fall = 0.3
const rise = 0.01

/** A proof is looked for once this share of the calls in flight is left, */
const fewer = 0.45
/** it has failed if times fell by at least this share of what the calls in flight did, */
const effect = 0.5
/** and it takes so many windows. */
const proofs = 2

/** What a window says besides its median. */
export interface Circumstances {
  /** Mean of the calls in flight. */
  readonly inFlight: number
  /** Whether all places were in use at some time. */
  readonly bound: boolean
  /** Whether there are as few places as there may be. */
  readonly least: boolean
}

/** Compares medians with what is usual. */
export interface Judge {
  /** The median of a window over the baseline, which learns from it; what is tolerated, while the limit had better stay. */
  readonly ratio: (median: number, circumstances: Circumstances) => number
}

export class Baseline implements Judge {
  private readonly tolerance: number
  private value = 0
  /** Where the proof began: the longest median of this spell of long times over the baseline, and the calls in flight then. */
  private from = 0
  private fromInFlight = 0
  private proved = 0

  /** A median more than `tolerance` times the baseline is long. */
  constructor(tolerance: number) {
    this.tolerance = tolerance
  }

  ratio(median: number, circumstances: Circumstances): number {
    if (this.value === 0) this.value = median
    const ratio = median / this.value
    if (ratio <= 1) this.value += (median - this.value) * fall
    else if (!circumstances.bound) this.value += (median - this.value) * rise
    if (ratio <= this.tolerance) {
      this.from = 0
      return ratio
    }
    this.prove(ratio, circumstances)
    // With a proof under way the calls in flight stay as they are: fewer would make the next window so much longer.
    if (this.proved < proofs) return this.proved > 0 ? this.tolerance : ratio
    this.value = median
    this.from = 0
    return 1
  }

  /** Look for a proof that fewer calls do not shorten the times. */
  private prove(ratio: number, { inFlight, least }: Circumstances): void {
    const left = inFlight / this.fromInFlight
    const helped = left <= fewer && 1 - ratio / this.from >= effect * (1 - left)
    if (ratio > this.from || helped) {
      this.from = ratio
      this.fromInFlight = inFlight
      this.proved = 0
    } else if (least || left <= fewer || this.proved > 0) {
      this.proved++
    }
  }
}
