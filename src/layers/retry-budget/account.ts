/**
 * What the calls of one process have in common: what it has saved up, its calls
 * in flight, and the cap on the extra ones. `memory.ts` is this alone;
 * `redis.ts` keeps it beside the fleet's bucket, for the times without Redis.
 */
import { Effect } from "effect"
import type { RetryPolicyValues } from "../../domain/policy.ts"
import type { Draw, Place } from "../../services/retry-budget.ts"

/**
 * Extra calls that each process may save up and have in flight, however many
 * processes there are: as many as fail before its breaker opens, so that all
 * of them can still be answered elsewhere. Figures: docs/decisions/0012.
 */
export const least = 10

/** Tenths are not exact in binary: ten deposits of 0.1 must pay for one call. */
export const tolerance = 1e-9

/** What all calls of this process have in common. */
export class Account {
  readonly most: number
  saved: number
  first = 0
  extra = 0
  private readonly share: number
  private readonly floor: number

  constructor({ budgetConcurrent, budgetMax, budgetMinConcurrent, processes }: RetryPolicyValues) {
    // A budget of nothing means nothing, however small the fleet's part of it is otherwise.
    const part = (ofFleet: number) => (ofFleet === 0 ? 0 : Math.max(Math.min(least, ofFleet), ofFleet / processes))
    this.most = part(budgetMax)
    this.saved = this.most
    this.floor = part(budgetMinConcurrent)
    this.share = budgetConcurrent
  }

  pay(amount: number): void {
    this.saved = Math.min(this.most, this.saved + amount)
  }

  /** Whether one more extra call may be in flight. */
  fits(): boolean {
    const extra = this.extra + 1 - tolerance
    return extra <= this.floor || extra <= this.share * (this.first + this.extra + 1)
  }

  /** Whether what this process has saved up pays for one more. */
  pays(): boolean {
    return this.saved + tolerance >= 1
  }

  /** One more extra call is in flight. */
  spend(): void {
    this.saved = Math.max(0, this.saved - 1)
    this.extra++
  }

  /** Extra calls that could be drawn one after the other, with so many saved up. */
  available(saved = this.saved): number {
    const { extra, first, floor, share } = this
    // The largest n with extra + n <= share x (first + extra + n).
    const bySize = share >= 1 ? Infinity : (share * (first + extra) - extra) / (1 - share)
    return Math.max(0, Math.floor(Math.min(saved, Math.max(bySize, floor - extra)) + tolerance))
  }
}

/** A first call in flight. */
export class First implements Place {
  private account: Account | undefined

  constructor(account: Account) {
    this.account = account
    account.first++
  }

  release(): void {
    if (this.account !== undefined) this.account.first--
    this.account = undefined
  }

  unused(): void {
    this.release()
  }
}

/** Rare beside first calls, so its ways out may be functions of their own, which work wherever they are handed. */
export class Extra implements Draw {
  readonly granted = true
  private account: Account | undefined
  private readonly giveBack: (() => void) | undefined

  /** `giveBack`: where else an unused one goes, beside this process's own account. */
  constructor(account: Account, giveBack?: () => void) {
    this.account = account
    this.giveBack = giveBack
  }

  readonly release = (): void => {
    if (this.account !== undefined) this.account.extra--
    this.account = undefined
  }

  readonly unused = (): void => {
    if (this.account === undefined) return
    this.account.pay(1)
    this.giveBack?.()
    this.release()
  }
}

/** The answer that there is nothing to be had. */
export const notGranted = Effect.succeed<Draw>({ granted: false, release: () => {}, unused: () => {} })
