/**
 * One priority's part of a provider: its share of the places, its tenant-fair
 * queue, and how long one waits there.
 */
import { Caution, History, leastCaution } from "./caution.ts"
import { FadingMean } from "./fading-mean.ts"
import { FairQueue } from "./fair-queue.ts"
import type { Tenant } from "./tenant.ts"
import type { Waiter } from "./waiter.ts"

/** Served claims that the means are about, and how fast they fade (ms). */
const claims = 32
const fadeMs = 10_000

/** What is known beforehand counts as so many of them. */
const priorWeight = 2

/** Settled calls that the worth of all tenants' estimates is about, and how fast it fades (ms). */
const calls = 64
const ratioFadeMs = 60_000

/** Settled calls that the worth of one tenant's is about: at first what holds for all counts as `fewestCalls` of its own. */
const fewestCalls = 3
const mostCalls = 32

/** A call that cost more than this many times its estimate says that the estimate was no estimate. */
const mostRatio = 16

/** A mean that rests on fewer claims is forgotten. */
const enough = 0.5

/** Caution beyond this is for what others may do; how fast places come free is a matter of chance alone. */
const mostInOrder = 2.5

export class Level {
  readonly share: number
  readonly queue = new FairQueue<Waiter>()
  inFlight = 0
  private readonly caution = new Caution()
  /** Time between two places for this level while it waits, in ms. */
  private readonly gaps = new FadingMean(claims, fadeMs)
  /** How far each of them moved the present of the queue. */
  private readonly strides = new FadingMean(claims, fadeMs)
  /** Their work in tokens, as it was charged. */
  private readonly costs = new FadingMean(claims, fadeMs)
  /** True work over estimated. */
  private readonly ratios = new FadingMean(calls, ratioFadeMs)
  /** When a place was last given to a waiter, or the first of the waiters came. */
  private gapSince = 0

  constructor(share: number) {
    this.share = share
  }

  /**
   * The work that a claim is charged for, in tokens: the estimate, times what
   * the tenant's estimates were found to be worth, or all tenants' where it is
   * not known. Estimates are often what an answer may cost at most; charged in
   * full, they would keep a tenant from a second call until its first is settled.
   */
  costOf(now: number, tenant: string, estimate: number): number {
    const ratio = this.queue.find(tenant)?.ratio ?? this.ratios.read(now, 1, priorWeight)
    return Math.max(1, estimate * ratio)
  }

  /** A call's true work is known. */
  settle(now: number, tenant: Tenant<Waiter>, cost: number, estimate: number, actual: number): void {
    const ratio = Math.min(mostRatio, actual / Math.max(1, estimate))
    const before = tenant.ratio ?? this.ratios.read(now, 1, priorWeight)
    tenant.settled++
    tenant.ratio = before + (ratio - before) / Math.min(mostCalls, fewestCalls + tenant.settled)
    this.ratios.add(now, ratio)
    this.queue.settle(tenant, actual - cost)
  }

  /** A claim that found no free place was turned away, or may wait. */
  decided(now: number, tenant: string, refused: boolean): void {
    this.caution.decided(now, refused, this.queue.find(tenant)?.history)
  }

  /** A wait has ended with a place, or in vain. */
  waited(now: number, { tenant }: Waiter, served: boolean): void {
    tenant.history ??= new History()
    this.caution.waited(now, served, tenant.history)
  }

  /** Let a claim wait. */
  join(waiter: Waiter, now: number): void {
    if (this.queue.size === 0) this.gapSince = now
    this.queue.push(waiter)
  }

  /** Give the next claim its place. */
  serve(waiter: Waiter, now: number): void {
    const { queue } = this
    const before = queue.present
    queue.serve(waiter)
    this.strides.add(now, queue.present - before)
    this.costs.add(now, waiter.cost)
    this.gaps.add(now, Math.max(0, now - this.gapSince))
    this.gapSince = now
  }

  /**
   * Time between two places for this level while it waits. `expected` is the
   * same from what is known of the provider; 0: nothing is. A gap that is
   * longer than usual counts before it ends.
   */
  gapMs(now: number, expected: number): number {
    const weight = expected > 0 ? priorWeight : 0
    const known = this.gaps.weight(now) + weight
    if (known < enough) return 0
    const usual = this.gaps.read(now, expected, weight)
    const lasting = this.queue.size === 0 ? 0 : now - this.gapSince
    return lasting <= usual ? usual : (usual * known + lasting) / (known + 1)
  }

  /**
   * How long one more claim of a tenant would wait, where `gapMs` is known and
   * `beyond` calls are in flight whose places nobody gets: the longer of two
   * waits, both said with {@link Caution}.
   *
   * - until the claims that wait and that fair order puts before it are served. Places come free about as in a Poisson
   *   process, so `n` of them take `n` gaps, give or take `√n`
   * - until the present of the queue has come to its start, as fast as it has moved of late: for claims that come later may
   *   be served before it. Chance is coarser here: it is about turns of the tenant, each of which is one of its rivals' too
   *
   * A claim that starts well before the last that waits is not what makes the
   * queue long: it is judged by the first, with the least caution.
   */
  waitMs(tenant: string, weight: number, cost: number, now: number, gapMs: number, beyond: number): number {
    if (gapMs === 0) return 0
    const { queue } = this
    const unit = this.costs.read(now, cost, priorWeight)
    const start = queue.startOf(tenant, weight)
    const modest = start + unit < queue.last
    const own = queue.find(tenant)
    const caution = modest ? leastCaution : this.caution.read(now, own?.history)
    const inOrder = 1 + beyond + queue.ahead(start)
    const inOrderMs = gapMs * (inOrder + Math.min(mostInOrder, caution) * Math.sqrt(inOrder))
    const others = queue.waitingWeight - (own?.waitingWeight ?? 0)
    const from = others > 0 ? queue.present : own !== undefined && own.size > 0 ? own.first : start
    if (modest || start <= from) return inOrderMs
    const stride = this.strides.read(now, unit / (others + weight), priorWeight)
    const inTurn = 1 + beyond + (start - from) / stride
    const rivals = 1 + others / weight
    return Math.max(inOrderMs, gapMs * (inTurn + caution * Math.sqrt(inTurn * rivals)))
  }
}
