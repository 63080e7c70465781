/**
 * The last few outcomes alone, whatever the rate of calls. A time window says
 * what a provider did in the last seconds, and most of that is good when it
 * has only just died; the last few calls show it at once.
 */

const failedBit = 1
const slowBit = 2

export class Recent {
  private readonly size: number
  private readonly windowMs: number
  /** Rings, which grow up to `size` with use: a size that is never reached costs nothing. */
  private readonly kinds: Array<number> = []
  private readonly times: Array<number> = []
  private count = 0
  private failed = 0
  private slow = 0

  /** The last `size` outcomes; one that is older than `windowMs` does not count. */
  constructor(size: number, windowMs: number) {
    this.size = size
    this.windowMs = windowMs
  }

  /** Note an outcome at `now` (epoch ms). The number returned names it for {@link amend}. */
  add(now: number, failed: boolean, slow: boolean): number {
    const index = this.count % this.size
    if (index < this.kinds.length) this.uncount(this.kinds[index]!)
    this.kinds[index] = (failed ? failedBit : 0) | (slow ? slowBit : 0)
    this.times[index] = now
    if (failed) this.failed++
    if (slow) this.slow++
    return this.count++
  }

  /** An outcome that was no failure has become one; nothing happens where it is forgotten already. */
  amend(outcome: number): void {
    if (outcome < 0 || outcome < this.count - this.size) return
    this.kinds[outcome % this.size]! |= failedBit
    this.failed++
  }

  /** Whether the ring is full of outcomes of the window, and at least `share` of them failed. */
  failing(now: number, share: number): boolean {
    return this.failed >= share * this.size && this.failed > 0 && this.full(now)
  }

  /** The same about slow ones. */
  slowing(now: number, share: number): boolean {
    return this.slow >= share * this.size && this.slow > 0 && this.full(now)
  }

  clear(): void {
    this.kinds.length = 0
    this.times.length = 0
    this.count = 0
    this.failed = 0
    this.slow = 0
  }

  private full(now: number): boolean {
    if (this.count < this.size) return false
    const age = now - this.times[this.count % this.size]!
    // A negative age: the clock was set back.
    return age >= 0 && age < this.windowMs
  }

  private uncount(kind: number): void {
    if ((kind & failedBit) !== 0) this.failed--
    if ((kind & slowBit) !== 0) this.slow--
  }
}
