/**
 * A running quantile of positive numbers, in three fields: it steps up by a
 * few per cent when a sample is above it and down when one is below, in the
 * proportion that leaves it at the quantile (Robbins and Monro, "A stochastic
 * approximation method", 1951; on a logarithmic scale). One sample moves it by
 * one step, however far out it is.
 *
 * The first steps are large. They grow again after a silence, for what was
 * usual then need not be usual today, and while one sample after another falls
 * on the same side.
 */

/** The usual step, as a share of the value. */
const step = 0.05
/** A run of samples on one side makes the steps at most so many times as large. */
const maxHaste = 4
/** Samples on one side that make for one more step each. */
const patience = 4
/** Known from so many samples on. */
const enough = 3
/** A silence of this long (ms) halves what is known. */
const fadeMs = 60_000

export class Quantile {
  private readonly p: number
  private value = 0
  private weight = 0
  private at = 0
  /** Samples in a row above (positive) or below (negative). */
  private run = 0

  /** `p`: the share of the samples that shall be below, 0 to 1. */
  constructor(p: number) {
    this.p = p
  }

  /** Add a sample at `now` (ms). */
  add(now: number, sample: number): void {
    this.fade(now)
    if (!(sample > 0)) return
    if (this.weight === 0) this.value = sample
    const above = sample > this.value
    this.run = above ? Math.max(0, this.run) + 1 : Math.min(0, this.run) - 1
    const haste = Math.min(maxHaste, 1 + Math.abs(this.run) / patience)
    const size = Math.max(step * haste, 1 / (2 + this.weight))
    this.value *= above ? 1 + size * this.p : 1 / (1 + size * (1 - this.p))
    this.weight = Math.min(1 / step, this.weight + 1)
  }

  /** The quantile; 0 when too little is known at `now`. */
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
