/**
 * What a bulkhead expects of its provider: how long a call needs until its
 * deadline no longer matters, and how long a claim in the queue will wait.
 * Learned from the calls themselves; 0 means that nothing is known.
 */
import { FadingMean } from "./fading-mean.ts"
import { Quantile } from "./quantile.ts"

/** What was learned about speed fades in this time, in ms. */
export const fadeMs = 10_000

/** Calls whose hold times the mean is about. */
const holds = 64

/** A hold counts for at most so many times the mean: one call that hangs says nothing about the others. */
const mostOfMean = 10

/**
 * Waits are said to be this many standard deviations longer than expected. It
 * grows with each claim that waited in vain and shrinks with each that did not,
 * so that in the end `inVain` of them do.
 */
const caution = { first: 3, least: 1, most: 5, step: 0.25 }
const inVain = 0.003

export class Forecast {
  private readonly firstTokens = new Quantile(0.5)
  private readonly answers = new Quantile(0.5)
  private caution = caution.first
  private readonly holds = new FadingMean(holds, fadeMs * 6)

  firstToken(now: number, ms: number): void {
    this.firstTokens.add(now, ms)
  }

  answered(now: number, ms: number): void {
    this.answers.add(now, ms)
  }

  /** A place was held for `ms`. */
  held(now: number, ms: number): void {
    const mean = this.holds.read(now)
    const most = this.holds.weight(now) < 8 ? Infinity : mean * mostOfMean
    this.holds.add(now, Math.min(ms, most))
  }

  /** The usual (median) time from the call to what its deadline is about: a stream's first token, or the whole answer. */
  needMs(now: number, streamed: boolean): number {
    return (streamed ? this.firstTokens : this.answers).read(now)
  }

  /** The usual time between two places that come free while `inFlight` are taken (Little's law). */
  gapMs(now: number, inFlight: number): number {
    return this.holds.read(now) / Math.max(1, inFlight)
  }

  /** A claim waited until it got its place (`kept`), or in vain. */
  waited(kept: boolean): void {
    const { least, most, step } = caution
    this.caution = Math.min(most, Math.max(least, this.caution + (kept ? -step * inVain : step)))
  }

  /**
   * How long `k` places take to come free, one each `gapMs`, said with caution.
   * They come free about as in a Poisson process: `k` of them take `k` gaps,
   * give or take `√k`; the last term is for the longer tail of a few.
   */
  waitFor(k: number, gapMs: number): number {
    return gapMs * (k + this.caution * Math.sqrt(k))
  }
}
