/**
 * Times of the last while as a histogram, of which any quantile can be read.
 *
 * - bins grow by a constant factor, so that every time is kept with the same relative error (DDSketch: Masson, Rim and
 *   Lee, VLDB 2019). A sample costs a logarithm and three additions; a quantile is one walk over the bins
 * - samples live in time slots, which the clock ages whenever it is written or read: a quiet hour empties it without a timer
 * - a sample may be censored: the true time is known only to be longer. Quantiles are those of the product-limit
 *   estimator (Kaplan and Meier, JASA 1958), which shares out the weight of a censored sample among the longer ones.
 *   Taken for what they show, calls that were given up would make the rest look fast, and left out they would too
 */

/**
 * Most relative error of a quantile between 1 ms and `longestMs`. It is always
 * too much, never too little: of times that are all alike, none is to be
 * longer than their quantile.
 */
export const accuracy = 0.05

/** Longer times are all alike. */
export const longestMs = 600_000

/** From bin to bin. */
const factor = 1 + accuracy
const perLog = 1 / Math.log(factor)
/** Bin 0 holds all up to 1 ms, bin i all from factor^(i-1) to factor^i ms, the last one also all that is longer. */
const bins = Math.ceil(Math.log(longestMs) * perLog) + 1

/** A sample is forgotten after eleven to twelve twelfths of the window. */
const slots = 12

const binOf = (ms: number): number => (ms > 1 ? Math.min(bins - 1, Math.ceil(Math.log(ms) * perLog)) : 0)

/** The longest time of a bin. */
const timeOf = (bin: number): number => factor ** bin

/** Tolerance of a product of many ratios. */
const epsilon = 1e-9

export class Histogram {
  private readonly slotMs: number
  /** Two rows of bins for each slot: times that were seen, and times that were censored. */
  private readonly rows = new Uint32Array(slots * 2 * bins)
  /** Sums of the rows over all slots. */
  private readonly sums = new Uint32Array(2 * bins)
  private tick = -Infinity
  private seenCount = 0
  private censoredCount = 0

  constructor(windowMs: number) {
    this.slotMs = windowMs / slots
  }

  /** Times that were seen in the window, as of the last write or `advance`. */
  get seen(): number {
    return this.seenCount
  }

  /** Count a time at `now` (epoch ms); `censored`: it was at least so long. */
  add(now: number, ms: number, censored: boolean): void {
    this.advance(now)
    const bin = (censored ? bins : 0) + binOf(ms)
    this.rows[(this.tick % slots) * 2 * bins + bin]! += 1
    this.sums[bin]! += 1
    if (censored) this.censoredCount++
    else this.seenCount++
  }

  /** Forget what has left the window by `now`; whether anything could have. */
  advance(now: number): boolean {
    const tick = Math.floor(now / this.slotMs)
    if (tick === this.tick) return false
    const passed = tick - this.tick
    // A clock that was set back says nothing any more about how old anything is.
    if (passed < 0 || passed >= slots) this.clear()
    else for (let each = this.tick + 1; each <= tick; each++) this.empty(each % slots)
    this.tick = tick
    return true
  }

  /** The time that a share `q` of all stay within, as of the last write or `advance`; `undefined` where none was seen. */
  quantile(q: number): number | undefined {
    if (this.seenCount === 0) return undefined
    const { sums } = this
    let atRisk = this.seenCount + this.censoredCount
    let longer = 1
    let last = 0
    for (let bin = 0; bin < bins && atRisk > 0; bin++) {
      const seen = sums[bin]!
      const censored = sums[bins + bin]!
      if (seen + censored === 0) continue
      last = bin
      longer *= 1 - seen / atRisk
      if (seen > 0 && longer <= 1 - q + epsilon) return timeOf(bin)
      atRisk -= seen + censored
    }
    // The longest were all censored: it is at least the longest of them.
    return timeOf(last)
  }

  private empty(slot: number): void {
    const from = slot * 2 * bins
    for (let bin = 0; bin < 2 * bins; bin++) {
      const count = this.rows[from + bin]!
      if (count === 0) continue
      this.sums[bin]! -= count
      this.rows[from + bin] = 0
      if (bin < bins) this.seenCount -= count
      else this.censoredCount -= count
    }
  }

  private clear(): void {
    this.rows.fill(0)
    this.sums.fill(0)
    this.seenCount = 0
    this.censoredCount = 0
  }
}
