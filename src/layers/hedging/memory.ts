/**
 * Hedging in the memory of this process: for each candidate the first tokens of
 * the last while and how many of the last calls were late, for all together
 * what hedges may cost.
 *
 * Keys are the configured candidates, so their number is small and they are
 * never forgotten.
 */
import { Clock, Effect, Layer } from "effect"
import type { HedgePolicy } from "../../domain/policy.ts"
import { Hedging } from "../../services/hedging.ts"
import { CostCap } from "./cost-cap.ts"
import { Histogram } from "./histogram.ts"
import { Lateness } from "./lateness.ts"

/** A quantile is read again when the window has moved on or has grown by one sample in so many. */
const freshness = 64

/** One-sided 95 % of the normal distribution. */
const z = 1.645

/**
 * The share that is read for `quantile` of `n` samples: the lower confidence
 * limit of that quantile (normal approximation of the binomial; Conover,
 * "Practical Nonparametric Statistics", section 3.2). Where the slow calls are
 * as many as the quantile leaves out, the quantile itself lies among the fast
 * ones or among the slow ones by mere chance. Too early costs little, and that
 * is capped; too late is no hedge at all.
 */
const lowerLimit = (quantile: number, n: number): number =>
  Math.max(0, quantile - z * Math.sqrt((quantile * (1 - quantile)) / n))

class Cell {
  readonly histogram: Histogram
  readonly lateness: Lateness
  private readonly policy: HedgePolicy
  private readonly cap: CostCap
  /** From when on a first token is late; `undefined` while too little is known. */
  private lateAfterMs: number | undefined
  private usualMs = 0
  private unread = 0

  constructor(policy: HedgePolicy, cap: CostCap) {
    this.policy = policy
    this.cap = cap
    this.histogram = new Histogram(policy.windowMs)
    this.lateness = new Lateness(policy.maxLateShare, 1 - policy.quantile)
  }

  delayMs(now: number): number | undefined {
    const moved = this.histogram.advance(now)
    if (moved || this.lateAfterMs === undefined || this.unread * freshness >= this.histogram.seen) this.read()
    return this.lateness.tooMany ? undefined : this.lateAfterMs
  }

  late(leftMs: number): boolean {
    this.lateness.add(true)
    return !this.lateness.tooMany && this.usualMs <= leftMs
  }

  observe(now: number, ms: number, censored: boolean, late: boolean): void {
    this.histogram.add(now, ms, censored)
    this.unread++
    if (late || this.lateAfterMs === undefined) return
    if (ms > this.lateAfterMs) this.lateness.add(true)
    // A call that was given up before it was late says nothing.
    else if (!censored) this.lateness.add(false)
  }

  private read(): void {
    this.unread = 0
    const { minimumSamples, quantile } = this.policy
    const { seen } = this.histogram
    // Where not all that are late can be paid for, the longest waits are worth it most.
    const q = Math.max(lowerLimit(quantile, seen), 1 - this.cap.affordable)
    this.lateAfterMs = seen < minimumSamples ? undefined : this.histogram.quantile(q)
    if (this.lateAfterMs === undefined) this.lateness.clear()
    else this.usualMs = this.histogram.quantile(0.5) ?? 0
  }
}

/** Hedging by `policy`, over the current Clock. */
export const make = Effect.fnUntraced(function* (policy: HedgePolicy) {
  if (!policy.enabled) return off
  const clock = yield* Clock.Clock
  const cells = new Map<string, Cell>()
  const cap = new CostCap(policy.maxExtraCost)
  return Hedging.of({
    delayMs: (key) => cells.get(key)?.delayMs(clock.currentTimeMillisUnsafe()),
    late: (key, leftMs) => cells.get(key)?.late(leftMs) === true,
    spend: (tokens) => cap.spend(tokens),
    refund: (tokens) => cap.refund(tokens),
    observe: (key, ms, censored, late) => {
      let cell = cells.get(key)
      if (cell === undefined) {
        cell = new Cell(policy, cap)
        cells.set(key, cell)
      }
      cell.observe(clock.currentTimeMillisUnsafe(), ms, censored, late)
    },
    earn: (tokens) => cap.earn(tokens)
  })
})

/** Hedging where it is switched off: it knows nothing and costs nothing. */
const off = Hedging.of({
  delayMs: () => undefined,
  late: () => false,
  spend: () => false,
  refund: () => {},
  observe: () => {},
  earn: () => {}
})

/** {@link make} as a layer. */
export const layer = (policy: HedgePolicy): Layer.Layer<Hedging> => Layer.effect(Hedging, make(policy))
