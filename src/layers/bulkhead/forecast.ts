/**
 * What a bulkhead expects of its provider: how long a call needs for what its
 * deadline is about, and how soon places come free. Learned from the calls
 * themselves; 0 means that nothing is known.
 */
import { FadingMean } from "./fading-mean.ts"
import { Median } from "./median.ts"

/** Calls whose hold times the mean is about, and how fast it fades (ms). */
const calls = 64
const fadeMs = 60_000

/** A hold counts for at most so many times the mean, once that rests on `settled` calls: one that hangs says nothing of the others. */
const mostOfMean = 10
const settled = 8

/** A mean that rests on fewer calls is forgotten. */
const enough = 0.5

export class Forecast {
  private readonly firstTokens = new Median()
  private readonly answers = new Median()
  private readonly holds = new FadingMean(calls, fadeMs)

  /** A stream's first token came after `ms`. */
  firstToken(now: number, ms: number): void {
    this.firstTokens.add(now, ms)
  }

  /** A whole answer came after `ms`. */
  answered(now: number, ms: number): void {
    this.answers.add(now, ms)
  }

  /** A place was held for `ms`. */
  held(now: number, ms: number): void {
    const most = this.holds.weight(now) < settled ? Infinity : this.holds.read(now) * mostOfMean
    this.holds.add(now, Math.min(ms, most))
  }

  /** Median time from the call to what its deadline is about: a stream's first token, or the whole answer. */
  needMs(now: number, streamed: boolean): number {
    return (streamed ? this.firstTokens : this.answers).read(now)
  }

  /** Mean time between two places that come free while `inFlight` are taken (Little's law). */
  gapMs(now: number, inFlight: number): number {
    return this.holds.weight(now) < enough ? 0 : this.holds.read(now) / Math.max(1, inFlight)
  }
}
