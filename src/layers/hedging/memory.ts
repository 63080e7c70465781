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

/**
 * Where slow calls are about as many as the quantile leaves out, chance decides
 * whether it lies at the end of the usual times or in the midst of the slow
 * ones, and then it is no use. So it may be this many times the quantile that
 * leaves out twice as many, and no more.
 */
const mostJump = 1.5

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

  private lateAfter(): number | undefined {
    const { cap, histogram } = this
    const { quantile } = this.policy
    const at = histogram.quantile(quantile)
    const before = histogram.quantile(Math.max(2 * quantile - 1, 0.9 * quantile))
    if (at === undefined || before === undefined) return undefined
    // Where not all that are late can be paid for, the longest waits are worth it most.
    return Math.max(Math.min(at, mostJump * before), histogram.quantile(1 - cap.affordable) ?? 0)
  }

  private read(): void {
    this.unread = 0
    const { minimumSamples } = this.policy
    this.lateAfterMs = this.histogram.seen < minimumSamples ? undefined : this.lateAfter()
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
