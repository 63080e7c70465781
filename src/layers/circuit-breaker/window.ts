/**
 * Outcomes of the last while, as a ring of time buckets. Aged by the clock
 * whenever it is read or written, so a quiet hour empties it without a timer
 * (breakers that turn a bucket with each call open on an hour-old failure).
 */

/** Number of buckets: an outcome is forgotten after nine to ten tenths of the window, never later than the window. */
const size = 10

/** Counts of the window. `calls` includes failures and slow ones. */
export interface Totals {
  calls: number
  failures: number
  slow: number
}

export class Window {
  private readonly bucketMs: number
  private readonly ticks = new Float64Array(size).fill(-Infinity)
  private readonly calls = new Float64Array(size)
  private readonly failures = new Float64Array(size)
  private readonly slow = new Float64Array(size)

  constructor(windowMs: number) {
    this.bucketMs = windowMs / size
  }

  /** Count one call at `now` (epoch ms). */
  add(now: number, failed: boolean, slow: boolean): void {
    const index = this.current(now)
    this.calls[index]! += 1
    if (failed) this.failures[index]! += 1
    if (slow) this.slow[index]! += 1
  }

  /** The call that was counted as answered at `countedAt` has failed after all: one more failure, not one more call. */
  amend(now: number, countedAt: number): void {
    const forgotten = Math.floor(now / this.bucketMs) - Math.floor(countedAt / this.bucketMs) >= size
    const index = this.current(now)
    if (forgotten) this.calls[index]! += 1
    this.failures[index]! += 1
  }

  /** The bucket of `now`, emptied when it is from an earlier turn of the ring. */
  private current(now: number): number {
    const tick = Math.floor(now / this.bucketMs)
    const index = tick % size
    if (this.ticks[index] !== tick) {
      this.ticks[index] = tick
      this.calls[index] = 0
      this.failures[index] = 0
      this.slow[index] = 0
    }
    return index
  }

  /** Sums over the buckets that are still young at `now`. */
  totals(now: number): Totals {
    const tick = Math.floor(now / this.bucketMs)
    const sum: Totals = { calls: 0, failures: 0, slow: 0 }
    for (let index = 0; index < size; index++) {
      const age = tick - this.ticks[index]!
      // A negative age: the clock was set back. Such a bucket is no more reliable than an old one.
      if (age < 0 || age >= size) continue
      sum.calls += this.calls[index]!
      sum.failures += this.failures[index]!
      sum.slow += this.slow[index]!
    }
    return sum
  }

  clear(): void {
    this.ticks.fill(-Infinity)
  }
}
