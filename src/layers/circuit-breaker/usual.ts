/**
 * What is usual at one provider: a running median of times, and from it the
 * time after which one is slow. No fixed time fits both a small model and a
 * reasoning one.
 *
 * The median of the first samples is taken as it is. Then each sample moves the
 * median up or down by a step of equal size on a log scale, whatever its own
 * size: stochastic approximation of a quantile (Tierney, SIAM J. Sci. Stat.
 * Comput. 1983), robust against outliers. Steps are as large as the time since
 * the sample before, so the median moves at the same pace at any rate of calls.
 */

/** Samples before anything is usual: a median of fewer says nothing, and nobody need wait for more. */
const fewest = 10
const enough = 100

/** Pace of the median (log scale, for each ms): by half in some 140 s. Slower than an outage begins, faster than a day does. */
const pace = 5e-6

/**
 * How much slower it moves towards samples that are slow. A provider that stays
 * six times slower is accepted as such after some 4 minutes, one that stays ten
 * times slower after 20: most such troubles end before.
 */
const reluctance = 4

/** A median of few samples is far off. Until there are so many it moves by 2/n, whatever the time (Robbins and Monro, 1951). */
const settled = 1_000

/** Most time (ms) that one sample stands for: after a pause it weighs more than others, but not all. */
const longestMs = 20_000

/** Nothing quicker than this (ms) is slow: what a busy event loop adds to a fast answer is no sign of trouble. */
const floorMs = 50

export class Usual {
  /** What takes longer than this (ms) is slow. */
  slowMs: number
  private readonly limitMs: number
  private readonly factor: number
  private readonly minimum: number
  private first: Array<number> = []
  private count = 0
  private median = 0
  private learnedAt = 0

  /** Slow is `factor` times what is usual, `limitMs` at the most; what is usual is known after `minimum` samples, 10 to 100. */
  constructor(limitMs: number, factor: number, minimum: number) {
    this.slowMs = limitMs
    this.limitMs = limitMs
    this.factor = factor
    this.minimum = Math.min(enough, Math.max(minimum, fewest))
  }

  /** Something took `ms`, seen at `now` (epoch ms). */
  learn(now: number, ms: number): void {
    if (this.median > 0) {
      const elapsed = Math.min(longestMs, Math.max(0, now - this.learnedAt))
      const paced = elapsed * pace
      const step = this.count < settled ? Math.max(paced, 2 / ++this.count) : paced
      const signed = ms > this.slowMs ? step / reluctance : ms > this.median ? step : ms < this.median ? -step : 0
      this.median *= Math.exp(signed)
    } else {
      this.first.push(ms)
      if (this.first.length < this.minimum) return
      this.first.sort((a, b) => a - b)
      this.median = Math.max(1, this.first[this.first.length >> 1]!)
      this.count = this.first.length
      this.first = []
    }
    this.learnedAt = now
    this.slowMs = Math.min(this.limitMs, Math.max(floorMs, this.factor * this.median))
  }

  /** Begin afresh. */
  forget(): void {
    this.slowMs = this.limitMs
    this.first = []
    this.median = 0
  }
}
