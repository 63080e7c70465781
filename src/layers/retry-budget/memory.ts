/**
 * The retry budget of this process: a bucket that successes fill, and a cap on
 * the extra calls in flight.
 *
 * - bucket: starts full; each success pays in `budgetRatio`, each extra call takes one (after gRPC proposal A6). When
 *   everything fails it runs dry, and extra calls stop
 * - cap: extra calls in flight are at most `budgetConcurrent` of all calls in flight, or a floor where that is more
 *   (after Envoy's retry budget)
 *
 * `budgetMax` and `budgetMinConcurrent` are for the whole fleet: what each
 * process may do by itself grows with the number of processes. But a process
 * never has less than {@link least}, else single failures would go unanswered.
 */
import { Effect, Layer } from "effect"
import type { RetryPolicyValues } from "../../domain/policy.ts"
import { RetryBudget } from "../../services/retry-budget.ts"
import * as RetryBudgetPort from "../../services/retry-budget.ts"
import type { Draw, Place } from "../../services/retry-budget.ts"

/**
 * Extra calls that each process may save up and have in flight, however many
 * processes there are: as many as fail before its breaker opens, so that all
 * of them can still be answered elsewhere. Figures: docs/decisions/0012.
 */
export const least = 10

/** Tenths are not exact in binary: ten deposits of 0.1 must pay for one call. */
const tolerance = 1e-9

/** What all calls of this process have in common. */
class Account {
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

  draw(): boolean {
    const extra = this.extra + 1 - tolerance
    if (this.saved + tolerance < 1) return false
    if (extra > this.floor && extra > this.share * (this.first + this.extra + 1)) return false
    this.saved--
    this.extra++
    return true
  }

  /** Extra calls that could be drawn one after the other. */
  available(): number {
    const { extra, first, floor, saved, share } = this
    // The largest n with extra + n <= share x (first + extra + n).
    const bySize = share >= 1 ? Infinity : (share * (first + extra) - extra) / (1 - share)
    return Math.max(0, Math.floor(Math.min(saved, Math.max(bySize, floor - extra)) + tolerance))
  }
}

class First implements Place {
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
class Extra implements Draw {
  readonly granted = true
  private account: Account | undefined

  constructor(account: Account) {
    this.account = account
  }

  readonly release = (): void => {
    if (this.account !== undefined) this.account.extra--
    this.account = undefined
  }

  readonly unused = (): void => {
    this.account?.pay(1)
    this.release()
  }
}

const notGranted = Effect.succeed<Draw>({ granted: false, release: () => {}, unused: () => {} })

/** The budget of one process of a fleet of `processes`. */
export const make = (policy: RetryPolicyValues): RetryBudget["Service"] => {
  const account = new Account(policy)
  return RetryBudgetPort.make({
    enterUnsafe: () => Effect.succeed(new First(account)),
    drawUnsafe: () => (account.draw() ? Effect.succeed(new Extra(account)) : notGranted),
    deposit: () => account.pay(policy.budgetRatio),
    available: Effect.sync(() => account.available())
  })
}

/** {@link make} as a layer. */
export const layer = (policy: RetryPolicyValues): Layer.Layer<RetryBudget> =>
  Layer.sync(RetryBudget, () => make(policy))
