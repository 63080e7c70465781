/**
 * The last calls in the order in which they left. Where failures are quicker
 * than answers, the answers to older calls hide them among the outcomes for a
 * while. Here a failed call is seen beside those that left just before it:
 * they have had as long to fail as it had, so counting those without an
 * outcome as good is fair.
 */
import { momentMs } from "./recent.ts"

/** Calls looked at, at the most. */
const most = 100

/** Calls remembered, as a multiple of those looked at: so many may leave before a call fails. */
const depth = 16

export class Begins {
  private readonly size: number
  private readonly least: number
  private readonly windowMs: number
  private readonly capacity: number
  /** Rings, which grow with use: when each left, and when it failed. */
  private readonly leftAt: Array<number> = []
  private readonly failedAt: Array<number> = []
  private count = 0

  /** Of `size` calls in a row (100 at the most), fewer than `share` may fail; one that left `windowMs` ago does not count. */
  constructor(size: number, share: number, windowMs: number) {
    this.size = Math.min(most, size)
    this.least = share * this.size
    this.windowMs = windowMs
    this.capacity = depth * this.size
  }

  /** A call leaves at `now` (epoch ms). The number returned names it. */
  add(now: number): number {
    const index = this.count % this.capacity
    this.leftAt[index] = now
    this.failedAt[index] = Infinity
    return this.count++
  }

  /** A call has failed at `now`. Whether too many of those that left before it have, and not all of them in one moment. */
  fail(name: number, now: number): boolean {
    const first = name - this.size + 1
    if (name < 0 || name < this.count - this.capacity) return false
    this.failedAt[name % this.capacity] = now
    if (first < 0 || first < this.count - this.capacity) return false
    let failed = 0
    let since = Infinity
    for (let one = first; one <= name; one++) {
      const at = this.failedAt[one % this.capacity]!
      if (at === Infinity) continue
      failed++
      since = Math.min(since, at)
    }
    const age = now - this.leftAt[first % this.capacity]!
    // A negative age: the clock was set back.
    return failed >= this.least && now - since >= momentMs && age >= 0 && age < this.windowMs
  }

  clear(): void {
    this.leftAt.length = 0
    this.failedAt.length = 0
    this.count = 0
  }
}
