/** The last few of a list, counted again for each question: what `Recent` must do. */

/** Something that came, and perhaps turned bad. */
export interface Noted {
  readonly at: number
  badAt: number
}

/** The share that condemns the last few, for a rate of the whole window. */
export const strict = (rate: number) => (1 + rate) / 2
/** How long they must have been bad. */
export const momentMs = 100

/** The last so many of a list are all young, bad enough, and have been so for a moment. */
export class Tail {
  readonly all: Array<Noted> = []
  since = Infinity
  private readonly size: number
  private readonly share: number
  constructor(size: number, share: number) {
    this.size = size
    this.share = share
  }
  add(at: number): number {
    this.all.push({ at, badAt: Infinity })
    this.settle()
    return this.all.length - 1
  }
  turn(index: number | undefined, at: number): void {
    if (index === undefined || index < this.all.length - this.size) return
    this.all[index]!.badAt = Math.min(this.all[index]!.badAt, at)
    this.settle()
  }
  condemns(at: number, windowMs: number): boolean {
    const last = this.all.slice(-this.size)
    return last.length === this.size && at - last[0]!.at < windowMs && at - this.since >= momentMs
  }
  private settle(): void {
    const bad = this.all.slice(-this.size).flatMap(({ badAt }) => (badAt < Infinity ? [badAt] : []))
    if (bad.length === 0 || bad.length < this.share * this.size) this.since = Infinity
    else if (this.since === Infinity) this.since = Math.min(...bad)
  }
}
