/**
 * How much longer than expected a wait is said to be, in standard deviations.
 *
 * Under overload much: there are always others to take a place in the queue,
 * and whoever is turned away at once can go elsewhere while there is time, so
 * nearly everyone who is let in must be served. How much that takes is learned:
 * more with each claim that waited in vain, less with each that did not, until
 * `inVain` of them do (the step rule of a running quantile).
 * Where few are turned away a wait in vain is the lesser evil, and little is
 * enough.
 */
import { FadingMean } from "./fading-mean.ts"

/** Share of those let in that may wait in vain under overload. */
const inVain = 0.003

/** The factor at first and at most, and how much one wait in vain changes it. */
const first = 2.5
const most = 6
const step = 0.25

/** The factor where there is no overload. */
export const leastCaution = 0.5

/** Share of the claims without a free place that are turned away: overload begins at `few` and is certain at `many`. */
const few = 0.2
const many = 0.3

/** Claims that this share is about, how fast it fades (ms), and how many that were let in it begins with. */
const claims = 128
const fadeMs = 30_000
const prior = 16

export class Caution {
  private learned = first
  private readonly refused = new FadingMean(claims, fadeMs)

  /** The factor of the standard deviation at `now` (ms). */
  read(now: number): number {
    return leastCaution + (this.learned - leastCaution) * this.overload(now)
  }

  /** A claim that found no free place was turned away, or let into the queue. */
  decided(now: number, refused: boolean): void {
    this.refused.add(now, refused ? 1 : 0)
  }

  /** A wait has ended with a place, or in vain. */
  waited(now: number, served: boolean): void {
    const change = served ? -step * inVain : step
    this.learned = Math.min(most, Math.max(leastCaution, this.learned + change * this.overload(now)))
  }

  private overload(now: number): number {
    return Math.min(1, Math.max(0, (this.refused.read(now, 0, prior) - few) / (many - few)))
  }
}
