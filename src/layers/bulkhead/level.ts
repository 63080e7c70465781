/**
 * One priority's part of a provider: its share of the places, its tenant-fair
 * queue, and how fast that queue moves.
 */
import { FadingMean } from "./fading-mean.ts"
import { FairQueue } from "./fair-queue.ts"
import { fadeMs } from "./forecast.ts"
import type { Forecast } from "./forecast.ts"
import type { Waiter } from "./waiter.ts"

/** Places whose gaps the mean is about: of a level, and of one tenant in it. */
const levelGaps = 32
const tenantGaps = 16

/** What is known beforehand of the gaps counts for so many of them. */
const priorWeight = 2

export class Level {
  readonly share: number
  readonly queue = new FairQueue<Waiter>()
  inFlight = 0
  private readonly gaps = new FadingMean(levelGaps, fadeMs)
  /** When a place was last given to a waiter, or the first of the waiters came. */
  private gapSince = 0

  constructor(share: number) {
    this.share = share
  }

  /** A claim has joined the queue at `now`. */
  joined({ tenant }: Waiter, now: number): void {
    if (this.queue.size === 1) this.gapSince = now
    if (tenant.size === 1) tenant.gapSince = now
  }

  /** A waiting claim has got a place at `now`. */
  served({ tenant }: Waiter, now: number): void {
    this.gaps.add(now, now - this.gapSince)
    this.gapSince = now
    tenant.gaps ??= new FadingMean(tenantGaps, fadeMs)
    tenant.gaps.add(now, now - tenant.gapSince)
    tenant.gapSince = now
  }

  /**
   * Time between two places for this level while it waits. `expected` is the
   * same from what is known of the provider. A gap that lasts longer than usual
   * counts before it ends.
   */
  gapMs(now: number, expected: number): number {
    const weight = expected > 0 ? priorWeight : 0
    const usual = this.gaps.read(now, expected, weight)
    const lasting = this.queue.size === 0 ? 0 : now - this.gapSince
    if (usual === 0 || lasting <= usual) return usual
    const known = this.gaps.weight(now) + weight
    return (usual * known + lasting) / (known + 1)
  }

  /**
   * How long one more claim of a tenant would wait, with caution: by the claims
   * that fair order puts before it and, where the tenant waits already, by its
   * own pace, which knows of those who will come later and be served before it.
   * `beyond`: calls in flight beyond the limit, whose places nobody gets.
   */
  waitMs(id: string, weight: number, cost: number, now: number, gapMs: number, beyond: number, forecast: Forecast): number {
    if (gapMs === 0) return 0
    const { queue } = this
    const start = queue.startOf(id, weight)
    const inOrder = forecast.waitFor(queue.ahead(start) + 1 + beyond, gapMs)
    const rounds = ((start - queue.now) * weight) / cost
    if (rounds <= 0) return inOrder
    const tenant = queue.find(id)
    const expected = (gapMs * Math.max(weight, queue.waitingWeight)) / weight
    const gap = tenant?.gaps === undefined ? expected : tenant.gaps.read(now, expected, priorWeight)
    return Math.max(inOrder, forecast.waitFor(rounds + 1, gap))
  }
}
