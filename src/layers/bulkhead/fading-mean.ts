/**
 * A mean that forgets: old samples fade as new ones come, and all of them fade
 * as time goes by. Two sums, no memory of single samples.
 */

export class FadingMean {
  private readonly keep: number
  private readonly fadeMs: number
  private sum = 0
  private count = 0
  private at = 0

  /** `samples`: how many the mean is about; `fadeMs`: the time in which the weight of all falls to about a third. */
  constructor(samples: number, fadeMs: number) {
    this.keep = 1 - 1 / samples
    this.fadeMs = fadeMs
  }

  /** Add a sample at `now` (ms). */
  add(now: number, value: number): void {
    this.fade(now)
    this.sum = this.sum * this.keep + value
    this.count = this.count * this.keep + 1
  }

  /** How many samples the mean rests on at `now`. */
  weight(now: number): number {
    this.fade(now)
    return this.count
  }

  /** The mean at `now` of the samples and of `priorWeight` samples of `prior`; 0 when that is nothing at all. */
  read(now: number, prior = 0, priorWeight = 0): number {
    this.fade(now)
    const weight = this.count + priorWeight
    return weight === 0 ? 0 : (this.sum + prior * priorWeight) / weight
  }

  private fade(now: number): void {
    const passed = now - this.at
    if (passed <= 0) return
    this.at = now
    const factor = 1 / (1 + passed / this.fadeMs)
    this.sum *= factor
    this.count *= factor
  }
}
