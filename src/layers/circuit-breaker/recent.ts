/**
 * How many of the last few were bad, whatever the rate of calls. A time window
 * says what a provider did in the last seconds, and most of that is good when
 * it has only just died; the last few calls show it at once.
 *
 * But at a high rate the last few are a moment, in which one lost connection
 * can take all of them along. So what is bad must have been so for a while.
 */

/** What goes wrong within so many ms may have gone wrong but once. */
export const momentMs = 100

export class Recent {
  private readonly size: number
  private readonly most: number
  private readonly windowMs: number
  /** Rings, which grow up to `size` with use: a size that is never reached costs nothing. When each came, and when it turned bad. */
  private readonly cameAt: Array<number> = []
  private readonly badAt: Array<number> = []
  private count = 0
  private bad = 0
  /** Since when too many are bad; Infinity while they are not. */
  private since = Infinity

  /** Of the last `size`, fewer than `share` may be bad; one that came `windowMs` ago does not count. */
  constructor(size: number, share: number, windowMs: number) {
    this.size = size
    this.most = share * size
    this.windowMs = windowMs
  }

  /** One more, at `now` (epoch ms), which is good until it is said to be bad. The number returned names it. */
  add(now: number): number {
    const index = this.count % this.size
    if (this.count >= this.size && this.badAt[index]! < Infinity) this.bad--
    this.cameAt[index] = now
    this.badAt[index] = Infinity
    this.settle()
    return this.count++
  }

  /** It has turned out bad at `now`; nothing happens where it is not among the last any more. */
  turn(name: number, now: number): void {
    if (name < 0 || name < this.count - this.size) return
    const index = name % this.size
    if (this.badAt[index]! < Infinity) return
    this.badAt[index] = now
    this.bad++
    this.settle()
  }

  /** Whether it is full, all of it of this window, and too many have been bad for more than a moment. */
  condemns(now: number): boolean {
    if (this.count < this.size || now - this.since < momentMs) return false
    const age = now - this.cameAt[this.count % this.size]!
    // A negative age: the clock was set back.
    return age >= 0 && age < this.windowMs
  }

  clear(): void {
    this.cameAt.length = 0
    this.badAt.length = 0
    this.count = 0
    this.bad = 0
    this.since = Infinity
  }

  private settle(): void {
    if (this.bad === 0 || this.bad < this.most) this.since = Infinity
    else if (this.since === Infinity) for (const at of this.badAt) this.since = Math.min(this.since, at)
  }
}
