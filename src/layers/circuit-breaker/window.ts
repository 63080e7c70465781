/**
 * Outcomes of the last while, as a ring of time buckets. Aged by the clock
 * whenever it is read or written, so a quiet hour empties it without a timer
 * (breakers that turn a bucket with each call open on an hour-old failure).
 *
 * The sums are kept as buckets come and go: reading them costs nothing.
 */

/** Number of buckets: an outcome is forgotten after nine to ten tenths of the window, never later than the window. */
const size = 10

/** What happened in one bucket, or in all of the window. `calls` includes failures and slow ones, `gaps` the slow ones. */
export class Totals {
  calls = 0
  failures = 0
  slow = 0
  gaps = 0
  slowGaps = 0

  clear(): void {
    this.calls = 0
    this.failures = 0
    this.slow = 0
    this.gaps = 0
    this.slowGaps = 0
  }

  subtract(other: Totals): void {
    this.calls -= other.calls
    this.failures -= other.failures
    this.slow -= other.slow
    this.gaps -= other.gaps
    this.slowGaps -= other.slowGaps
  }
}

export class Window {
  private readonly bucketMs: number
  private readonly buckets = Array.from({ length: size }, () => new Totals())
  private readonly sum = new Totals()
  private tick = -Infinity

  constructor(windowMs: number) {
    this.bucketMs = windowMs / size
  }

  /** Count one call at `now` (epoch ms). */
  add(now: number, failed: boolean, slow: boolean): void {
    const bucket = this.at(now)
    bucket.calls++
    this.sum.calls++
    if (failed) {
      bucket.failures++
      this.sum.failures++
    }
    if (slow) {
      bucket.slow++
      this.sum.slow++
    }
  }

  /** Count one time between tokens. */
  addGap(now: number, slow: boolean): void {
    const bucket = this.at(now)
    bucket.gaps++
    this.sum.gaps++
    if (slow) {
      bucket.slowGaps++
      this.sum.slowGaps++
    }
  }

  /** The call that was counted at `countedAt` has failed after all: one more failure, not one more call. */
  amend(now: number, countedAt: number): void {
    const bucket = this.at(now)
    if (this.tick - Math.floor(countedAt / this.bucketMs) >= size) {
      bucket.calls++
      this.sum.calls++
    }
    bucket.failures++
    this.sum.failures++
  }

  /** Sums over the buckets that are still young at `now`; the next reading changes them. */
  totals(now: number): Readonly<Totals> {
    this.at(now)
    return this.sum
  }

  clear(): void {
    for (const bucket of this.buckets) bucket.clear()
    this.sum.clear()
  }

  /**
   * The bucket of `now`, after those that have grown too old were emptied. For a
   * clock that was set back time stands still until it has caught up; one that
   * was set back by more than the window begins afresh.
   */
  private at(now: number): Totals {
    const tick = Math.floor(now / this.bucketMs)
    const passed = tick - this.tick
    if (passed >= size || passed <= -size) {
      this.clear()
      this.tick = tick
    }
    while (this.tick < tick) {
      this.tick++
      const bucket = this.bucket()
      this.sum.subtract(bucket)
      bucket.clear()
    }
    return this.bucket()
  }

  private bucket(): Totals {
    // A tick is a whole number from 0 on, so that the index is one of the ring's.
    return this.buckets[this.tick % size]!
  }
}
