/**
 * What speaks against a provider: outcomes of its calls in a time window and
 * of the last few alone, what is usual there, and the judgement on them.
 */
import type { BreakerPolicy } from "../../domain/policy.ts"
import { Begins } from "./begins.ts"
import { Recent } from "./recent.ts"
import { Usual } from "./usual.ts"
import { Window } from "./window.ts"

/** How a call was counted, kept by the call: when, and its names among the recent begins and the recent outcomes. */
export interface Counted {
  countedAt: number
  begunAs: number
  outcome: number
}

export type Charge = "failure-rate" | "slow-first-token" | "slow-gap"

/** The last few calls alone must be worse than the window, by half of what is left of 1. */
const strict = (rate: number): number => (1 + rate) / 2

/** So long (ms) after the last of many good outcomes in a row it is still plain that the provider works. */
const freshMs = 1_000

const reached = (part: number, all: number, rate: number): boolean => part > 0 && part >= rate * all

export class Evidence {
  private readonly policy: BreakerPolicy
  private readonly window: Window
  private readonly begins: Begins
  private readonly outcomes: Recent
  private readonly paces: Recent
  private readonly gaps: Recent
  private readonly firstToken: Usual
  private readonly whole: Usual
  private readonly tokenGap: Usual
  /** Good outcomes since the last bad one, and when the last of them came. */
  private good = 0
  private goodAt = -Infinity

  constructor(policy: BreakerPolicy) {
    const { failureRate, minimumCalls, slowFactor, slowGapMs, slowMs, slowRate, windowMs } = policy
    this.policy = policy
    this.window = new Window(windowMs)
    this.begins = new Begins(minimumCalls, strict(failureRate), windowMs)
    this.outcomes = new Recent(minimumCalls, strict(failureRate), windowMs)
    this.paces = new Recent(minimumCalls, strict(slowRate), windowMs)
    this.gaps = new Recent(minimumCalls, strict(slowRate), windowMs)
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

  /** A call has left. */
  begin(call: Counted, at: number): void {
    call.begunAs = this.begins.add(at)
  }

  answered(call: Counted, at: number): void {
    this.good++
    this.goodAt = at
    this.count(call, at, false, false)
  }

  /** `lateAt`: since when it has been slow. */
  slow(call: Counted, at: number, lateAt: number): void {
    this.good = 0
    this.paces.turn(this.count(call, at, false, true), lateAt)
  }

  /** Whether the calls that left before it have failed too. */
  failed(call: Counted, at: number): boolean {
    this.good = 0
    this.count(call, at, true, false)
    this.outcomes.turn(call.outcome, at)
    return this.begins.fail(call.begunAs, at)
  }

  /** The same of a call that was counted as answered or slow. */
  amend(call: Counted, at: number): boolean {
    this.good = 0
    this.window.amend(at, call.countedAt)
    this.outcomes.turn(call.outcome, at)
    return this.begins.fail(call.begunAs, at)
  }

  /** A stream had `ms` between its tokens. Says whether it was slow. */
  gap(at: number, ms: number): boolean {
    const slow = ms > this.tokenGap.slowMs
    this.tokenGap.learn(at, ms)
    this.window.addGap(at, slow)
    const gap = this.gaps.add(at)
    if (slow) this.gaps.turn(gap, at)
    return slow
  }

  /**
   * What the breaker should open for, if anything. `worse`: what was noted last
   * was bad (a single disaster passes while better news come in); `condemned`:
   * what {@link failed} said of it.
   */
  charge(at: number, worse: boolean, condemned: boolean): Charge | undefined {
    const { failureRate, minimumCalls, slowRate } = this.policy
    const { calls, failures, gaps, slow, slowGaps } = this.window.totals(at)
    if (calls >= minimumCalls) {
      if (condemned || reached(failures, calls, failureRate)) return "failure-rate"
      if (worse && this.outcomes.condemns(at)) return "failure-rate"
      if (reached(slow, calls, slowRate) || (worse && this.paces.condemns(at))) return "slow-first-token"
    }
    if (gaps < minimumCalls) return undefined
    return reached(slowGaps, gaps, slowRate) || (worse && this.gaps.condemns(at)) ? "slow-gap" : undefined
  }

  /** Whether the last `minimumCalls` outcomes were all good, to this moment: whoever says that it is down sees something else. */
  isWell(at: number): boolean {
    return this.good >= this.policy.minimumCalls && at - this.goodAt <= freshMs
  }

  /** Drop the outcomes; what is usual stays. */
  clear(): void {
    this.good = 0
    this.window.clear()
    this.begins.clear()
    this.outcomes.clear()
    this.paces.clear()
    this.gaps.clear()
  }

  /** Forget what is usual. */
  unlearn(): void {
    this.firstToken.forget()
    this.whole.forget()
    this.tokenGap.forget()
  }

  /** The name among the paces. */
  private count(call: Counted, at: number, failed: boolean, slow: boolean): number {
    this.window.add(at, failed, slow)
    call.countedAt = at
    call.outcome = this.outcomes.add(at)
    return this.paces.add(at)
  }
}
