/**
 * A breaker that is simple and slow: it keeps every call and every outcome in
 * lists and counts them again for each question. What the real one must do,
 * without learning what is usual and without jitter.
 */
import type { BreakerPolicy } from "../../src/domain/policy.ts"
import type { BreakerState, BreakerTransition } from "../../src/services/circuit-breaker.ts"
import { momentMs, strict, Tail } from "./breaker-tail.ts"
import type { Noted } from "./breaker-tail.ts"

export interface ModelCall {
  readonly epoch: number
  readonly probe: boolean
  streamed: boolean
  begunAt: number | undefined
  /** Its place among the calls that have left in this generation. */
  begun: number | undefined
  outcome: number | undefined
  countedAt: number
  heard: "nothing" | "late" | "answer" | "final"
  /** A probe that was answered, or counted as slow. */
  done: boolean
  slow: boolean
}

export class Model {
  readonly transitions: Array<Omit<BreakerTransition, "key">> = []
  state: BreakerState = "closed"
  now = 0
  /** What the others allow. */
  may = { failures: true, slowness: true }
  openUntil = 0
  batchFrom = -Infinity
  spared = false
  private readonly policy: BreakerPolicy
  private epoch = 0
  private calls: Array<ModelCall> = []
  private events: Array<{ readonly at: number; readonly kind: "call" | "failure" | "slow" | "gap" | "slow gap" }> = []
  private outcomes: Tail
  private paces: Tail
  private gaps: Tail
  private begins: Array<Noted> = []
  private doublings = 0
  private closedAt = -Infinity
  private notBefore = -Infinity
  private forcedUntil = -Infinity
  private probedAt = -Infinity

  constructor(policy: BreakerPolicy) {
    this.policy = policy
    this.outcomes = this.tail(policy.failureRate)
    this.paces = this.tail(policy.slowRate)
    this.gaps = this.tail(policy.slowRate)
  }

  admit(): ModelCall | undefined {
    this.look()
    const probe = this.state === "half-open"
    if (this.state === "open") return undefined
    if (probe && (this.now < this.batchFrom || this.places() <= 0)) return undefined
    if (probe) this.probedAt = this.now
    const call: ModelCall = {
      epoch: this.epoch,
      probe,
      streamed: true,
      begunAt: undefined,
      begun: undefined,
      outcome: undefined,
      countedAt: 0,
      heard: "nothing",
      done: false,
      slow: false
    }
    this.calls.push(call)
    return call
  }

  begin(call: ModelCall, streamed: boolean): void {
    if (call.heard !== "nothing" || call.begunAt !== undefined || call.epoch !== this.epoch) return
    call.begunAt = this.now
    call.streamed = streamed
    if (call.probe) return
    call.begun = this.begins.length
    this.begins.push({ at: this.now, badAt: Infinity })
  }

  succeed(call: ModelCall, ms: number): void {
    const before = call.heard
    if (before === "answer" || before === "final") return
    call.heard = "answer"
    if (!this.current(call, before) || before === "late") return
    const slow = call.streamed && ms > this.policy.slowMs
    if (call.probe) this.probed(call, slow)
    else if (slow) this.slow(call, this.now)
    else {
      this.count(call)
      this.judge(false, false)
    }
  }

  fail(call: ModelCall, retryAfterMs: number): void {
    const before = call.heard
    if (before === "final") return
    if (call.epoch === this.epoch && retryAfterMs > 0) {
      this.notBefore = Math.max(this.notBefore, this.now + retryAfterMs)
    }
    call.heard = "final"
    if (!this.current(call, before)) return
    if (call.probe) return this.reopen()
    if (before === "nothing") this.count(call)
    else if (this.tick(call.countedAt) <= this.tick(this.now) - 10) this.events.push({ at: this.now, kind: "call" })
    this.events.push({ at: this.now, kind: "failure" })
    this.outcomes.turn(call.outcome, this.now)
    this.judge(true, this.condemned(call))
  }

  cutShort(call: ModelCall, ms: number): void {
    if (call.heard !== "nothing") return
    call.heard = "final"
    if (!this.current(call, "nothing") || !call.streamed || ms <= this.policy.slowMs) return
    if (call.probe) this.unanswered(call)
    else this.slow(call, this.now)
  }

  gap(call: ModelCall, ms: number): void {
    if (call.heard !== "answer" || call.probe || !this.current(call, "answer")) return
    const slow = ms > this.policy.slowGapMs
    this.events.push({ at: this.now, kind: "gap" })
    if (slow) this.events.push({ at: this.now, kind: "slow gap" })
    const gap = this.gaps.add(this.now)
    if (slow) this.gaps.turn(gap, this.now)
    this.judge(slow, false)
  }

  release(call: ModelCall): void {
    call.heard = "final"
  }

  trip(forMs: number): void {
    this.forcedUntil = -Infinity
    this.openUntil = this.now + forMs
    this.become("open", "manual")
  }

  reset(forMs: number): void {
    this.forcedUntil = this.now + forMs
    this.become("closed", "manual")
    this.doublings = 0
    this.closedAt = -Infinity
  }

  /** `speaking` has just been heard for the first time: until now it was silent. */
  look(speaking?: ModelCall): void {
    if (this.state === "open") {
      if (this.now >= this.openUntil) this.become("half-open", "open-time-over")
      return
    }
    const { maxOpenMs, slowMs } = this.policy
    for (const call of this.mine()
      .filter((one) => one.begunAt !== undefined && one.streamed && one.heard === "nothing")
      .toSorted((a, b) => a.begunAt! - b.begunAt!)) {
      const ms = this.now - call.begunAt!
      if (call.epoch !== this.epoch || ms <= slowMs) break
      if (call.probe && !this.may.slowness && ms <= 2 * slowMs) break
      call.heard = "late"
      if (call.probe) this.unanswered(call)
      else this.slow(call, call.begunAt! + slowMs)
    }
    const silent = this.mine().some((one) => one.probe && (one.heard === "nothing" || one === speaking))
    if (silent && this.now - this.probedAt > maxOpenMs) this.reopen()
  }

  private tail(rate: number): Tail {
    return new Tail(this.policy.minimumCalls, strict(rate))
  }

  private tick(at: number): number {
    return Math.floor(at / (this.policy.windowMs / 10))
  }

  private mine(): Array<ModelCall> {
    return this.calls.filter(({ epoch }) => epoch === this.epoch)
  }

  private places(): number {
    return (
      this.policy.probes - this.mine().filter(({ done, heard, probe }) => probe && (done || heard === "nothing")).length
    )
  }

  private current(call: ModelCall, before: ModelCall["heard"]): boolean {
    if (call.epoch !== this.epoch) return false
    this.look(before === "nothing" ? call : undefined)
    return call.epoch === this.epoch
  }

  private count(call: ModelCall): void {
    call.countedAt = this.now
    this.events.push({ at: this.now, kind: "call" })
    call.outcome = this.outcomes.add(this.now)
    this.paces.add(this.now)
  }

  private slow(call: ModelCall, lateAt: number): void {
    this.count(call)
    this.events.push({ at: this.now, kind: "slow" })
    this.paces.turn(this.paces.all.length - 1, lateAt)
    this.judge(true, false)
  }

  private condemned(call: ModelCall): boolean {
    if (call.begun === undefined) return false
    const { failureRate, minimumCalls, windowMs } = this.policy
    this.begins[call.begun]!.badAt = this.now
    const last = this.begins.slice(0, call.begun + 1).slice(-minimumCalls)
    const failed = last.filter(({ badAt }) => badAt < Infinity)
    return (
      last.length === minimumCalls &&
      failed.length >= strict(failureRate) * minimumCalls &&
      this.now - Math.min(...failed.map(({ badAt }) => badAt)) >= momentMs &&
      this.now - last[0]!.at < windowMs
    )
  }

  private judge(worse: boolean, condemned: boolean): void {
    if (this.now < this.forcedUntil) return
    const { failureRate, minimumCalls, slowRate, windowMs } = this.policy
    const young = this.events.filter(({ at }) => this.tick(at) > this.tick(this.now) - 10)
    const number = (kind: string) => young.filter((event) => event.kind === kind).length
    const over = (kind: string, of: string, rate: number) =>
      number(of) >= minimumCalls && number(kind) > 0 && number(kind) >= rate * number(of)
    const tail = (one: Tail) => worse && one.condemns(this.now, windowMs)
    const enough = number("call") >= minimumCalls
    if (over("failure", "call", failureRate) || (enough && (condemned || tail(this.outcomes)))) {
      if (this.may.failures) this.open("failure-rate")
      else {
        this.become("half-open", "failure-rate")
        this.nextBatch(this.now)
      }
    } else if (over("slow", "call", slowRate) || (enough && tail(this.paces))) {
      if (this.may.slowness) this.open("slow-first-token")
    } else if (over("slow gap", "gap", slowRate) || (number("gap") >= minimumCalls && tail(this.gaps))) {
      if (this.may.slowness) this.open("slow-gap")
    }
  }

  private probed(call: ModelCall, slow: boolean): void {
    call.done = true
    call.slow = slow
    const done = this.mine().filter((one) => one.done)
    const slowOnes = done.filter((one) => one.slow).length
    const { probes, slowRate } = this.policy
    if (slowOnes > 0 && slowOnes >= slowRate * probes && this.may.slowness) this.reopen()
    else if (done.length >= probes) this.become("closed", "probes-succeeded")
  }

  private unanswered(call: ModelCall): void {
    if (this.may.slowness) this.probed(call, true)
    else this.reopen()
  }

  private reopen(): void {
    if (!this.may.failures) return this.nextBatch(this.probedAt + 1_250)
    this.double()
    this.openUntil = this.until()
    this.become("open", "probe-failed")
  }

  private open(reason: BreakerTransition["reason"]): void {
    const closedFor = this.now - this.closedAt
    if (closedFor < this.policy.windowMs) this.double()
    else this.doublings = Math.max(0, this.doublings - Math.floor(closedFor / this.policy.windowMs))
    this.openUntil = this.until()
    this.become("open", reason)
  }

  private double(): void {
    if (this.policy.openMs * 2 ** this.doublings < this.policy.maxOpenMs) this.doublings++
  }

  private until(): number {
    const { maxOpenMs, openMs } = this.policy
    return Math.max(this.now + Math.min(maxOpenMs, openMs * 2 ** this.doublings), this.asked())
  }

  private asked(): number {
    const { maxOpenMs, openMs } = this.policy
    return this.notBefore <= this.now ? this.now : Math.min(this.notBefore, this.now + 2 * maxOpenMs) + 0.1 * openMs
  }

  private nextBatch(from: number): void {
    this.epoch++
    this.spared = true
    this.batchFrom = Math.max(from, this.asked())
  }

  private become(to: BreakerState, reason: BreakerTransition["reason"]): void {
    const from = this.state
    this.state = to
    this.epoch++
    this.spared = false
    this.batchFrom = -Infinity
    if (to === "closed") {
      this.closedAt = this.now
      this.notBefore = -Infinity
      this.events = []
      this.begins = []
      this.outcomes = this.tail(this.policy.failureRate)
      this.paces = this.tail(this.policy.slowRate)
      this.gaps = this.tail(this.policy.slowRate)
    }
    this.transitions.push({ from, to, atMs: this.now, reason, generation: this.transitions.length + 1 })
  }
}
