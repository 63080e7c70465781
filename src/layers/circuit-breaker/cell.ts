/**
 * The breaker of one key as a state machine. It never acts by itself: what time
 * has changed is noticed when somebody asks ({@link Cell.look}).
 *
 * Two numbers count its changes. `generation` is told to others and counts
 * changes of state. `epoch` makes leases stale, and also changes where a batch
 * of probes follows another in the same state.
 */
import type { BreakerPolicy } from "../../domain/policy.ts"
import type { BreakerState, BreakerTransition } from "../../services/circuit-breaker.ts"
import { Evidence } from "./evidence.ts"
import { Lease } from "./lease.ts"
import { OpenTime } from "./open-time.ts"
import { Running } from "./running.ts"

/** Pause (ms) between two batches of probes to a breaker that may not open, times 1 to 1.5. */
const batchMs = 1_000

/** A probe that runs this many times `slowMs` has failed, even where slowness is no reason to open. */
const hangs = 2

/** An open time that another process found gets up to this share on top, so that the one who found it probes first. */
const elsewhereSpread = 0.2

/** What a cell needs of the others. */
export interface Host {
  readonly policy: BreakerPolicy
  readonly now: () => number
  /** From 0 to 1. */
  readonly random: () => number
  /** Whether one more breaker may refuse everything. Slowness is no reason where nothing else is left to call. */
  readonly mayOpen: (cell: Cell, at: number, cause: "failures" | "slowness") => boolean
  readonly changed: (transition: BreakerTransition) => void
  /** A probe has been answered, or is late. */
  readonly probed?: (cell: Cell, call: Lease, slow: boolean) => void
  /** A probe has ended without a verdict. */
  readonly unprobed?: (cell: Cell, call: Lease) => void
}

type Reason = BreakerTransition["reason"]

export class Cell {
  readonly key: string
  state: BreakerState = "closed"
  /** It should be open, but too many others are: half-open, with a batch of probes every second or so. */
  spared = false
  epoch = 0
  usedAt = -Infinity
  /** Probes on their way. */
  probing = 0
  private readonly host: Host
  private readonly evidence: Evidence
  private readonly openTime: OpenTime
  /** Apart, because they become late at different ages. */
  private readonly streams = new Running<Lease>()
  private readonly wholes = new Running<Lease>()
  private generation = 0
  private openUntil = 0
  private openedAt = 0
  private forcedUntil = -Infinity
  /** Probes of this batch that were answered, or are so late that they count as slow answers. */
  private answered = 0
  private slowAnswers = 0
  private probedAt = -Infinity
  private batchFrom = -Infinity

  constructor(key: string, host: Host) {
    this.key = key
    this.host = host
    this.evidence = new Evidence(host.policy)
    this.openTime = new OpenTime(host.policy, host.random)
  }

  now(): number {
    return this.host.now()
  }

  begun(call: Lease): void {
    call.begunAt = this.host.now()
    this.runningOf(call).add(call)
    if (!call.probe) this.evidence.begin(call, call.begunAt)
  }

  /** It is not running any more, or not of interest. */
  ended(call: Lease): void {
    this.runningOf(call).remove(call)
  }

  /** The lease of a call, where one may be made at `at`. */
  admit(at: number): Lease | undefined {
    this.usedAt = at
    this.look(at)
    if (this.state === "closed") return new Lease(this, false)
    const full = this.probing + this.answered >= this.host.policy.probes
    if (this.state === "open" || full || at < this.batchFrom) return undefined
    this.probing++
    this.probedAt = at
    return new Lease(this, true)
  }

  /** Time (ms) after which a refused caller may ask again. */
  waitMs(at: number): number {
    if (this.state === "open") return this.openUntil - at
    if (at < this.batchFrom) return this.batchFrom - at
    // By then a probe has answered, or is late.
    return Math.min(this.host.policy.openMs, this.evidence.slowMs(true))
  }

  /** Take note of what the time has changed: the end of the open time, and calls that have become late. */
  look(at: number): void {
    if (this.state === "open") {
      // A clock that was set back must not keep it open for longer than it was to be.
      if (at >= this.openUntil || at < this.openedAt) this.become("half-open", "open-time-over", at)
      return
    }
    this.lookAt(this.streams, at)
    this.lookAt(this.wholes, at)
    // Probes of which nothing is heard, not even that they have begun, must not hold it for ever.
    if (this.probing > 0 && at - this.probedAt > this.silenceMs()) this.reopen(at)
  }

  private lookAt(calls: Running<Lease>, at: number): void {
    for (let call = calls.oldest; call !== undefined; call = calls.oldest) {
      const slowMs = this.evidence.slowMs(call.streamed)
      const ms = at - call.begunAt
      if (ms <= slowMs) return
      if (call.probe && ms <= hangs * this.host.policy.slowMs && !this.host.mayOpen(this, at, "slowness")) return
      call.isLate()
      if (call.probe) this.unanswered(call, at)
      else this.slow(call, at, call.begunAt + slowMs)
    }
  }

  /** `counted`: it was counted as slow already, while it ran. */
  succeeded(call: Lease, at: number, ms: number, counted: boolean): void {
    const slow = ms > this.evidence.slowMs(call.streamed)
    this.evidence.learn(at, call.streamed, ms)
    if (counted) return
    if (call.probe) this.probed(call, at, slow)
    else if (slow) this.slow(call, at, at)
    else {
      this.evidence.answered(call, at)
      this.judge(at, false)
    }
  }

  learn(call: Lease, ms: number): void {
    this.evidence.learn(this.now(), call.streamed, ms)
  }

  failed(call: Lease, at: number, counted: boolean): void {
    if (call.probe) return this.reopen(at)
    const condemned = counted ? this.evidence.amend(call, at) : this.evidence.failed(call, at)
    this.judge(at, true, condemned)
  }

  cutShort(call: Lease, at: number, ms: number): void {
    const slow = ms > this.evidence.slowMs(call.streamed)
    if (call.probe && slow) this.unanswered(call, at)
    else if (call.probe) this.unprobed(call)
    else if (slow) this.slow(call, at, at)
  }

  paced(at: number, ms: number): void {
    this.judge(at, this.evidence.gap(at, ms))
  }

  askedToWait(ms: number): void {
    if (ms > 0) this.openTime.ask(this.now() + ms)
  }

  trip(at: number, forMs: number): void {
    this.forcedUntil = -Infinity
    this.open(at + forMs, "manual", at)
  }

  reset(at: number, forMs: number): void {
    this.forcedUntil = at + forMs
    this.evidence.unlearn()
    this.become("closed", "manual", at)
    this.openTime.forget()
  }

  /** A probe gives its place to another. */
  unprobed(call: Lease): void {
    this.probing--
    this.host.unprobed?.(this, call)
  }

  /** How long it is still open (ms), and how often its open time has been doubled. */
  opened(at: number): { readonly forMs: number; readonly level: number } {
    return { forMs: Math.max(0, this.openUntil - at), level: this.openTime.level }
  }

  /**
   * Another process has opened it for `forMs` more. What this one has seen
   * counts for more: not where its own calls are well, nor where too much
   * would be open.
   */
  openedElsewhere(at: number, forMs: number, level: number, reason: Reason): void {
    if (at < this.forcedUntil || forMs <= 0) return
    const until = at + forMs * (1 + elsewhereSpread * this.host.random())
    if (this.state === "open") {
      this.openUntil = Math.max(this.openUntil, at + forMs)
      this.openTime.raise(level)
    } else if (!(this.state === "closed" && this.evidence.isWell(at)) && this.host.mayOpen(this, at, "failures")) {
      this.openTime.raise(level)
      this.open(until, reason, at)
    }
  }

  /** Another process's probes have closed it. */
  closedElsewhere(at: number): void {
    if (this.state !== "closed") this.become("closed", "probes-succeeded", at)
  }

  /** So many probes of the whole fleet were answered in this open period. */
  probedElsewhere(at: number, answered: number, slowAnswers: number): void {
    if (this.state !== "half-open" || this.spared) return
    this.answered = Math.max(this.answered, answered)
    this.slowAnswers = Math.max(this.slowAnswers, slowAnswers)
    this.judgeProbes(at)
  }

  private runningOf(call: Lease): Running<Lease> {
    return call.streamed ? this.streams : this.wholes
  }

  /** Longer than any probe should take, whole answers included. */
  private silenceMs(): number {
    const wholeMs = this.evidence.slowMs(false)
    return wholeMs === Infinity ? this.host.policy.maxOpenMs : Math.max(wholeMs, this.host.policy.maxOpenMs)
  }

  private slow(call: Lease, at: number, lateAt: number): void {
    this.evidence.slow(call, at, lateAt)
    this.judge(at, true)
  }

  private judge(at: number, worse: boolean, condemned = false): void {
    if (at < this.forcedUntil) return
    const charge = this.evidence.charge(at, worse, condemned)
    if (charge === undefined) return
    if (this.host.mayOpen(this, at, charge === "failure-rate" ? "failures" : "slowness"))
      this.open(this.openTime.opens(at), charge, at)
    else if (charge === "failure-rate") this.spare(at)
  }

  private probed(call: Lease, at: number, slow: boolean): void {
    this.probing--
    this.answered++
    if (slow) this.slowAnswers++
    this.host.probed?.(this, call, slow)
    this.judgeProbes(at)
  }

  private judgeProbes(at: number): void {
    const { probes, slowRate } = this.host.policy
    const tooSlow = this.slowAnswers > 0 && this.slowAnswers >= slowRate * probes
    if (tooSlow && this.host.mayOpen(this, at, "slowness")) this.reopen(at)
    else if (this.answered >= probes) this.become("closed", "probes-succeeded", at)
  }

  /** A slow probe without an answer: where slowness is no reason to open, it is no reason to close either. */
  private unanswered(call: Lease, at: number): void {
    if (this.host.mayOpen(this, at, "slowness")) this.probed(call, at, true)
    else this.reopen(at)
  }

  private reopen(at: number): void {
    if (this.host.mayOpen(this, at, "failures")) {
      this.open(this.openTime.reopens(at), "probe-failed", at)
    } else {
      this.nextBatch(this.probedAt + batchMs * (1 + 0.5 * this.host.random()), at)
    }
  }

  private open(until: number, reason: Reason, at: number): void {
    this.openUntil = until
    this.openedAt = at
    this.become("open", reason, at)
  }

  private spare(at: number): void {
    this.become("half-open", "failure-rate", at)
    this.nextBatch(at, at)
  }

  private nextBatch(from: number, at: number): void {
    this.epoch++
    this.beginBatch()
    this.spared = true
    this.batchFrom = Math.max(from, this.openTime.asked(at))
  }

  private beginBatch(): void {
    this.streams.clear()
    this.wholes.clear()
    this.spared = false
    this.probing = 0
    this.answered = 0
    this.slowAnswers = 0
    this.batchFrom = -Infinity
  }

  private become(to: BreakerState, reason: Reason, atMs: number): void {
    const from = this.state
    this.state = to
    this.epoch++
    this.generation++
    this.beginBatch()
    if (to === "closed") {
      this.openTime.closes(atMs)
      this.evidence.clear()
    }
    this.host.changed({ key: this.key, from, to, atMs, reason, generation: this.generation })
  }
}
