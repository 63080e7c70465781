/**
 * A limit that is learned from how the provider answers, a window at a time.
 *
 * - fed by time to first token, time per token of streams, and time per token of whole answers; each is compared with a
 *   baseline of its own (`baseline.ts`), by the median of its window, so that one slow call says nothing. Total times are
 *   no signal: they tell how much was written
 * - a window is at least a second and at least 50 reports; where few calls are in flight it is longer
 * - refusals for overload (429, 529) shrink the limit, if they are more than a stray one, once in a window
 * - it does not grow in a window in which fewer than half of the places were ever in use, nor shrink by more than half
 *
 * How a window changes the limit is the step's business (`gradient`).
 */
import type { BulkheadPolicy } from "../../domain/policy.ts"
import { Baseline } from "./baseline.ts"
import { Histogram } from "./histogram.ts"
import type { Limit } from "./limit.ts"

/** Shortest window in ms, and fewest reports in it. */
const windowMs = 1_000
const windowReports = 50

/** Refusals of a window that count: so many, and this share of its reports. */
const fewestDrops = 2
const dropShare = 0.02

/** What a window has shown. */
export interface Window {
  readonly limit: number
  readonly least: number
  readonly most: number
  /** The worst signal's median over its baseline; 0 where no signal had reports enough. */
  readonly ratio: number
  /** Mean of the calls in flight. */
  readonly inFlight: number
  readonly dropped: boolean
}

/** What compares medians with what they were: a {@link Baseline}. */
export type BaselineLike = Pick<Baseline, "ratio">

/** The limit that follows from a window, before floor and ceiling. */
export type Step = (window: Window) => number

/** A median this many times the baseline is accepted: places are given out until it is reached. */
export const tolerance = 1.15

/** What is left of the limit after a window with refusals. */
const afterDrops = 0.7

/** The limit at the start, or the geometric middle of floor and ceiling where that is more. Where it is too high already, no baseline can be seen. */
const first = 5

/** Most growth in one window. */
const growth = 1.5

/** Places beyond those that fit: a limit of 1 must be able to grow. */
const headroom = 1

/**
 * As many places as would have made the times `tolerance` times the baseline,
 * if times grow with the calls in flight, as they do where these share a
 * processor; a little more, so that it is found out when there is more room.
 * It reckons from the calls in flight, not from the limit: those above a limit
 * that was lowered go on for a while, and must not lower it again.
 */
export const gradient: Step = ({ dropped, inFlight, limit, ratio }) => {
  if (dropped) return Math.min(limit, inFlight) * afterDrops
  if (ratio === 0) return limit
  const fits = (inFlight * tolerance) / ratio + headroom
  return ratio > tolerance ? Math.min(limit, fits) : Math.min(limit * growth, Math.max(limit, fits))
}

class Signal {
  private readonly times = new Histogram()
  private readonly baseline: BaselineLike

  constructor(baseline: BaselineLike) {
    this.baseline = baseline
  }

  add(ms: number): void {
    this.times.add(ms)
  }

  /** The ratio of the window that ends; 0, and the reports are kept for the next, where they are too few. */
  close(bound: boolean, inFlight: number, least: boolean): number {
    if (this.times.count < windowReports) return 0
    const ratio = this.baseline.ratio(this.times.median(), { bound, inFlight, least })
    this.times.clear()
    return ratio
  }
}

export class AdaptiveLimit implements Limit {
  current: number
  private limit: number
  private readonly least: number
  private readonly most: number
  private readonly step: Step
  private readonly firstTokens: Signal
  private readonly paces: Signal
  private readonly answers: Signal
  private since = -1
  private reports = 0
  private drops = 0
  private inFlight = 0
  private peak = 0
  private early = true

  constructor(least: number, most: number, step: Step, baseline: () => BaselineLike) {
    this.least = Math.min(least, most)
    this.most = most
    this.step = step
    this.limit = Math.min(most, Math.max(first, Math.sqrt(this.least * most)))
    this.current = Math.round(this.limit)
    this.firstTokens = new Signal(baseline())
    this.paces = new Signal(baseline())
    this.answers = new Signal(baseline())
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
    if (this.since < 0) this.since = now
    this.reports++
    this.inFlight += inFlight
    if (this.reports >= windowReports && now - this.since >= windowMs) this.close(now, inFlight)
  }

  private close(now: number, inFlight: number): void {
    const mean = this.inFlight / this.reports
    const bound = this.peak >= this.current
    const least = this.current <= this.least
    const ratio = Math.max(
      this.firstTokens.close(bound, mean, least),
      this.paces.close(bound, mean, least),
      this.answers.close(bound, mean, least)
    )
    const dropped = this.drops >= fewestDrops && this.drops > dropShare * this.reports
    if (dropped || ratio > tolerance) this.early = false
    const next =
      this.early && bound && ratio > 0
        ? this.limit * 2
        : this.step({ limit: this.limit, least: this.least, most: this.most, ratio, inFlight: mean, dropped })
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

/** The limit of a policy, between its `minInFlight` and `maxInFlight`. */
export const adaptive = (
  { maxInFlight, minInFlight }: BulkheadPolicy,
  step: Step = gradient,
  baseline: () => BaselineLike = () => new Baseline(tolerance)
): Limit => new AdaptiveLimit(minInFlight, maxInFlight, step, baseline)
