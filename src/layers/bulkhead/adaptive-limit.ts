/**
 * A limit that is learned from how the provider answers, a window at a time.
 *
 * - fed by time to first token, time per token of streams, and time per token of whole answers. Each is a signal of its
 *   own: the median of its window, so that one slow call says nothing, over its own baseline (`baseline.ts`). Total times
 *   are no signal: they tell how much was written
 * - a window is at least a second and at least 50 reports; where few calls are in flight it is longer. A signal with fewer
 *   than 50 reports says nothing yet, and keeps them for the next window
 * - refusals for overload (429, 529) shrink the limit once in a window, if they are more than a stray one
 * - it does not grow in a window in which less than half of it was ever in use, and shrinks by half at most
 *
 * How a window changes it is `gradient.ts`'s business; until times were long for the first time it doubles instead.
 */
import type { BulkheadPolicy } from "../../domain/policy.ts"
import { Baseline } from "./baseline.ts"
import type { Judge } from "./baseline.ts"
import { gradient, tolerance } from "./gradient.ts"
import type { Step } from "./gradient.ts"
import { Histogram } from "./histogram.ts"
import type { Limit } from "./limit.ts"

/** Shortest window in ms, and fewest reports in it and of a signal. */
const windowMs = 1_000
const windowReports = 50

/** Refusals of a window that count: so many at least, and more than this share of its reports. */
const fewestDrops = 2
const dropShare = 0.02

/** The limit at the start, or the geometric middle of floor and ceiling where that is more: no baseline can be seen from too high. */
const start = 5

/** One kind of time, and what it usually is. */
class Signal {
  private readonly times = new Histogram()
  private readonly judge: Judge

  constructor(judge: Judge) {
    this.judge = judge
  }

  add(ms: number): void {
    this.times.add(ms)
  }

  /** The ratio of the window that ends; 0 where it has too few reports. */
  close(inFlight: number, bound: boolean, least: boolean): number {
    if (this.times.count < windowReports) return 0
    const ratio = this.judge.ratio(this.times.median(), { inFlight, bound, least })
    this.times.clear()
    return ratio
  }
}

class AdaptiveLimit implements Limit {
  current: number
  private limit: number
  private readonly least: number
  private readonly most: number
  private readonly step: Step
  private readonly firstTokens: Signal
  private readonly paces: Signal
  private readonly answers: Signal
  /** Whether times were never long so far. */
  private early = true
  /** The window: when it began, its reports, the refusals among them, the sum and the peak of the calls in flight. */
  private since = -1
  private reports = 0
  private drops = 0
  private inFlight = 0
  private peak = 0

  constructor(least: number, most: number, step: Step, judge: () => Judge) {
    this.least = Math.min(least, most)
    this.most = most
    this.step = step
    this.limit = Math.min(most, Math.max(start, Math.sqrt(this.least * most)))
    this.current = Math.round(this.limit)
    this.firstTokens = new Signal(judge())
    this.paces = new Signal(judge())
    this.answers = new Signal(judge())
  }

  taken(inFlight: number): void {
    if (inFlight > this.peak) this.peak = inFlight
  }

  firstToken(now: number, ms: number, inFlight: number): void {
    this.firstTokens.add(ms)
    this.report(now, inFlight)
  }

  pace(now: number, tokens: number, ms: number, inFlight: number): void {
    this.paces.add(ms / Math.max(1, tokens))
    this.report(now, inFlight)
  }

  answered(now: number, tokens: number, ms: number, inFlight: number): void {
    this.answers.add(ms / Math.max(1, tokens))
    this.report(now, inFlight)
  }

  dropped(now: number, inFlight: number): void {
    this.drops++
    this.report(now, inFlight)
  }

  private report(now: number, inFlight: number): void {
    // A clock that was set back begins the window again.
    if (this.since < 0 || now < this.since) this.since = now
    this.reports++
    this.inFlight += inFlight
    if (this.reports >= windowReports && now - this.since >= windowMs) this.close(now, inFlight)
  }

  private close(now: number, inFlight: number): void {
    const mean = this.inFlight / this.reports
    const bound = this.peak >= this.current
    const least = this.current <= this.least
    const ratio = Math.max(
      this.firstTokens.close(mean, bound, least),
      this.paces.close(mean, bound, least),
      this.answers.close(mean, bound, least)
    )
    const dropped = this.drops >= fewestDrops && this.drops > dropShare * this.reports
    if (dropped || ratio > tolerance) this.early = false
    const next =
      this.early && bound && ratio > 0
        ? this.limit * 2
        : this.step({ limit: this.limit, ratio, inFlight: mean, dropped })
    const mayGrow = this.drops === 0 && 2 * this.peak >= this.limit
    const bounded = Math.max(this.limit / 2, mayGrow ? next : Math.min(next, this.limit))
    this.limit = Math.min(this.most, Math.max(this.least, bounded))
    this.current = Math.round(this.limit)
    this.since = now
    this.reports = 0
    this.drops = 0
    this.inFlight = 0
    this.peak = inFlight
  }
}

/** The limit of a policy, between its `minInFlight` and `maxInFlight`. `step` and `judge` are for comparisons. */
export const adaptive = (
  { maxInFlight, minInFlight }: BulkheadPolicy,
  step: Step = gradient,
  judge: () => Judge = () => new Baseline(tolerance)
): Limit => new AdaptiveLimit(minInFlight, maxInFlight, step, judge)
