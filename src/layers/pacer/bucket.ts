/**
 * One dimension of a provider's limit as we believe it to stand: a bucket that
 * refills all the time, as OpenAI's and Anthropic's do.
 *
 * It may fall below zero: something larger than the whole bucket leaves when it
 * is full, and what turned out larger than its estimate is owed. A clock that
 * is set back refills nothing.
 */

/** Sums of refills fall short of whole numbers by a double's error. */
const slack = 1e-6

export class Bucket {
  /** Refill, in units a millisecond. */
  perMs: number
  /** Most that can be saved up, in units; at least 1. */
  size: number
  private level: number
  private at: number

  /** A full one at `now` (ms). */
  constructor(perMs: number, size: number, now: number) {
    this.perMs = perMs
    this.size = Math.max(1, size)
    this.level = this.size
    this.at = now
  }

  /** What is in it; less than nothing where something is owed. */
  read(now: number): number {
    if (now > this.at) this.level = Math.min(this.size, this.level + (now - this.at) * this.perMs)
    this.at = now
    return this.level
  }

  /** Until `ahead` and then `cost` can have left, in ms. */
  waitMs(now: number, cost: number, ahead = 0): number {
    const short = ahead + Math.min(cost, this.size) - slack - this.read(now)
    return short <= 0 ? 0 : short / this.perMs
  }

  /** Take `units`, whether they are there or not; less than nothing puts them back. */
  take(now: number, units: number): void {
    this.level = Math.min(this.size, this.read(now) - units)
  }

  /** Believe that no more than `level` is in it. */
  atMost(now: number, level: number): void {
    this.level = Math.min(this.read(now), level)
  }
}
