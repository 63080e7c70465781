/**
 * Times of one window, to take their median: a count for each of some hundred
 * ranges, evenly spaced on a logarithmic scale. A sample costs one increment, a
 * window nothing but the reset. The median is exact to about 2 %.
 */

/** Ranges to a doubling. */
const perOctave = 16
/** The first range begins at 2^-10 ms, the last ends at 2^24 ms (4.7 h); what is outside counts as at the edge. */
const lowest = -10
const octaves = 34

export class Histogram {
  count = 0
  private readonly counts = new Uint32Array(octaves * perOctave)

  /** Count a positive number; anything else (the clock was set back) says nothing. */
  add(value: number): void {
    if (!(value >= 0)) return
    const range = Math.floor((Math.log2(value) - lowest) * perOctave)
    const index = Math.min(this.counts.length - 1, Math.max(0, range))
    // Within the array, as just made sure of.
    this.counts[index]! += 1
    this.count++
  }

  /** The median; 0 where nothing was counted. */
  median(): number {
    const half = this.count / 2
    let below = 0
    for (let index = 0; index < this.counts.length; index++) {
      const here = this.counts[index]!
      if (here > 0 && below + here >= half) {
        return 2 ** (lowest + (index + (half - below) / here) / perOctave)
      }
      below += here
    }
    return 0
  }

  clear(): void {
    this.counts.fill(0)
    this.count = 0
  }
}
