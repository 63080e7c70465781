/**
 * What speaks against a provider: outcomes of its calls in a time window and
 * of the last few alone, what is usual there, and the judgement on them.
 */
import type { BreakerPolicy } from "../../domain/policy.ts"
import { Recent } from "./recent.ts"
import { Usual } from "./usual.ts"
import { Window } from "./window.ts"

/** When a call was counted, and which place it has among the recent ones by its begin and by its outcome; kept by the call. */
export interface Counted {
  countedAt: number
  place: number
  outcome: number
}

export type Charge = "failure-rate" | "slow-first-token" | "slow-gap"

/** The last few calls alone must be worse than the window, by half of what is left of 1. */
const strict = (rate: number): number => (1 + rate) / 2

export class Evidence {
  private readonly policy: BreakerPolicy
  private readonly window: Window
  private readonly begun: Recent
  private readonly calls: Recent
  private readonly gaps: Recent
  private readonly firstToken: Usual
  private readonly whole: Usual
  private readonly tokenGap: Usual

  constructor(policy: BreakerPolicy) {
    const { minimumCalls, slowFactor, slowGapMs, slowMs, windowMs } = policy
    this.policy = policy
    this.window = new Window(windowMs)
    this.begun = new Recent(minimumCalls, windowMs)
    this.calls = new Recent(minimumCalls, windowMs)
    this.gaps = new Recent(minimumCalls, windowMs)
    this.firstToken = new Usual(slowMs, slowFactor, minimumCalls)
    // How long a whole answer takes is up to its length: nothing but its own kind says what is slow.
    this.whole = new Usual(Infinity, slowFactor, minimumCalls)
    this.tokenGap = new Usual(slowGapMs, slowFactor, minimumCalls)
  }

  /** A first token, or a whole answer, that takes longer than this (ms) is slow. */
  slowMs(streamed: boolean): number {
    return streamed ? this.firstToken.slowMs : this.whole.slowMs
  }

  /** A first token, or a whole answer, took `ms`: what is usual changes with it. */
  learn(at: number, streamed: boolean, ms: number): void {
    const usual = streamed ? this.firstToken : this.whole
    usual.learn(at, ms)
  }

  /**
   * A call has left. Where failures are quicker than answers, the answers to
   * older calls hide them for a while; among the last calls to leave they stand
   * out at once, and those without an outcome speak for the provider.
   */
  begin(call: Counted, at: number): void {
    call.place = this.begun.add(at, false, false)
  }

  count(call: Counted, at: number, failed: boolean, slow: boolean): void {
    this.window.add(at, failed, slow)
    call.countedAt = at
    if (failed) this.begun.amend(call.place)
    call.outcome = this.calls.add(at, failed, slow)
  }

  /** A call that was counted as no failure has failed after all. */
  amend(call: Counted, at: number): void {
    this.window.amend(at, call.countedAt)
    this.begun.amend(call.place)
    this.calls.amend(call.outcome)
  }

  /** A stream had `ms` between its tokens. */
  gap(at: number, ms: number): void {
    const slow = ms > this.tokenGap.slowMs
    this.tokenGap.learn(at, ms)
    this.window.addGap(at, slow)
    this.gaps.add(at, false, slow)
  }

  /** What the breaker should open for, if anything. */
  charge(at: number): Charge | undefined {
    const { failureRate, slowRate } = this.policy
    const { calls, failures, gaps, slow, slowGaps } = this.window.totals(at)
    const most = strict(failureRate)
    if (this.reached(failures, calls, failureRate)) return "failure-rate"
    if (this.calls.failing(at, most) || this.begun.failing(at, most)) return "failure-rate"
    if (this.reached(slow, calls, slowRate) || this.calls.slowing(at, strict(slowRate))) return "slow-first-token"
    if (this.reached(slowGaps, gaps, slowRate) || this.gaps.slowing(at, strict(slowRate))) return "slow-gap"
    return undefined
  }

  /** Drop the outcomes; what is usual stays. */
  clear(): void {
    this.window.clear()
    this.begun.clear()
    this.calls.clear()
    this.gaps.clear()
  }

  /** Forget what is usual. */
  unlearn(): void {
    this.firstToken.forget()
    this.whole.forget()
    this.tokenGap.forget()
  }

  private reached(part: number, all: number, rate: number): boolean {
    return all >= this.policy.minimumCalls && part > 0 && part >= rate * all
  }
}
