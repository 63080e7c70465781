/**
 * How many of the last calls were late, and whether that are so many that it is
 * not a few calls which are slow but the provider.
 *
 * Counted in calls, not in time: at any rate of calls a slowdown is seen after
 * the same number of them. A call counts as late as soon as it is, not when its
 * first token comes at last.
 */

/** Calls that are looked back on: enough that a few stragglers in a row are no slowdown, few enough to see one at once. */
export const calls = 64

export class Lateness {
  private readonly stopAbove: number
  private readonly resumeAt: number
  private readonly ring = new Uint8Array(calls)
  private next = 0
  private late = 0
  private slow = false

  /**
   * All is slow when a share of more than `most` are late. It is not any more
   * when the share is halfway back to `usual`, so that it does not change to
   * and fro with each call.
   */
  constructor(most: number, usual: number) {
    this.stopAbove = most * calls
    this.resumeAt = Math.min(most, (most + usual) / 2) * calls
  }

  /** Whether too many are late. */
  get tooMany(): boolean {
    return this.slow
  }

  /** One more call, late or in time. */
  add(late: boolean): void {
    const one = late ? 1 : 0
    this.late += one - this.ring[this.next]!
    this.ring[this.next] = one
    this.next = (this.next + 1) % calls
    this.slow = this.late > (this.slow ? this.resumeAt : this.stopAbove)
  }

  /** Forget all. */
  clear(): void {
    this.ring.fill(0)
    this.late = 0
    this.slow = false
  }
}
