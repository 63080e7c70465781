/**
 * A running median of positive numbers, in a few fields: it steps up by a few
 * per cent when a sample is above it, and down when one is below (Robbins and
 * Monro, "A stochastic approximation method", 1951; here on a logarithmic
 * scale). One sample moves it by one step, however far out it is.
 *
 * The first steps are large. They grow again after a silence, for what was
 * usual then need not be usual today, and while one sample after another falls
 * on the same side.
 */

/** The usual step, as a share of the value. */
const step = 0.025
/** Samples in a row on one side make for one step more each `patience` of them, up to `maxHaste` steps. */
const patience = 4
const maxHaste = 4
/** The weight of all samples: grows by one with each up to `most`, halves in a silence of `fadeMs`. */
const most = 20
const fadeMs = 60_000
/** From so much on the median is known; with less than `gone` the next sample is a new beginning. */
const enough = 3
const gone = 0.5

export class Median {
  private value = 0
  private weight = 0
  private at = 0
  /** Samples in a row above (positive) or below (negative). */
  private run = 0

  /** Add a sample at `now` (ms). What is not positive is no sample. */
  add(now: number, sample: number): void {
    this.fade(now)
    if (!(sample > 0)) return
    if (this.weight < gone) {
      this.value = sample
      this.weight = 0
      this.run = 0
    }
    const above = sample > this.value
    this.run = above ? Math.max(0, this.run) + 1 : Math.min(0, this.run) - 1
    const haste = Math.min(maxHaste, 1 + Math.abs(this.run) / patience)
    const factor = 1 + Math.max(step * haste, 0.5 / (2 + this.weight))
    this.value *= above ? factor : 1 / factor
    this.weight = Math.min(most, this.weight + 1)
  }

  /** The median; 0 when too little is known at `now`. */
  read(now: number): number {
    this.fade(now)
    return this.weight < enough ? 0 : this.value
  }

  private fade(now: number): void {
    const passed = now - this.at
    if (passed <= 0) return
    this.at = now
    this.weight /= 1 + passed / fadeMs
  }
}
