/**
 * One retry budget for the fleet: a bucket in Redis that the successes of all
 * processes fill, and from which all of them draw.
 *
 * - a draw takes from what this process has taken out in advance, at most some calls; where that is used up it waits for
 *   one exchange with Redis (`share.ts`). An empty bucket is asked five times a second at most
 * - deposits wait for nobody: they are sent five times a second, or with the next exchange
 * - all extra calls together are at most `budgetMax` and what successes have paid in, however many processes there are.
 *   A process that is killed takes along what it had in advance for two seconds; what it drew from that and had not told
 *   yet, five calls at most, is given out again
 * - the cap on extra calls in flight is this process's own, as in `memory.ts`; and while Redis is away so is the bucket,
 *   which is kept up all the time
 */
import { Clock, Effect, Layer, Random } from "effect"
import type { RetryPolicyValues } from "../../domain/policy.ts"
import type { Draw } from "../../services/retry-budget.ts"
import { RetryBudget } from "../../services/retry-budget.ts"
import * as RetryBudgetPort from "../../services/retry-budget.ts"
import type * as Guard from "../../services/guard.ts"
import { RedisClient } from "../redis/client.ts"
import { Account, Extra, First, notGranted } from "./account.ts"
import { everyMs, Share } from "./share.ts"

/** The budget of a process of the fleet. */
export const make = Effect.fnUntraced(function* (policy: RetryPolicyValues) {
  const client = yield* RedisClient
  const clock = yield* Clock.Clock
  const id = `${yield* Random.nextInt}`
  const account = new Account(policy)
  const share = new Share({ client, now: () => clock.currentTimeMillisUnsafe(), id, most: policy.budgetMax })

  const back = () => share.pay(1)
  const granted = (): Effect.Effect<Draw> => {
    account.spend()
    return Effect.succeed(new Extra(account, back))
  }
  /** Without Redis: what this one gives back was not taken from the fleet. */
  const alone = (): Effect.Effect<Draw> => {
    if (!account.pays()) return notGranted
    account.spend()
    return Effect.succeed(new Extra(account))
  }

  const ask = (restore: Guard.Restore): Effect.Effect<Draw> => {
    let gone = false
    // In flight already: those who wait together must not exceed the cap together.
    account.extra++
    const leave = () => {
      account.extra--
    }
    const asked = Effect.callback<boolean | undefined>((resume) =>
      share.ask((answer) => {
        if (!gone) resume(Effect.succeed(answer))
        else if (answer === true) share.putBack()
      })
    )
    const waited = Effect.onInterrupt(restore(asked), () =>
      Effect.sync(() => {
        gone = true
        leave()
      })
    )
    return Effect.flatMap(waited, (answer) => {
      leave()
      if (answer === undefined) return alone()
      return answer ? granted() : notGranted
    })
  }

  const tick = Effect.callback<void>((resume) => share.tick(() => resume(Effect.void)))
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep(everyMs), tick)))

  return RetryBudgetPort.make({
    enterUnsafe: () => Effect.succeed(new First(account)),
    drawUnsafe: (restore) => {
      if (policy.budgetMax === 0 || !account.fits()) return notGranted
      if (share.take()) return granted()
      if (!client.usable()) return alone()
      return share.isEmpty() ? notGranted : ask(restore)
    },
    deposit: () => {
      account.pay(policy.budgetRatio)
      share.pay(policy.budgetRatio)
    },
    available: Effect.suspend(() => {
      if (policy.budgetMax === 0) return Effect.succeed(0)
      const looked = Effect.callback<boolean>((resume) => share.look((seen) => resume(Effect.succeed(seen))))
      return Effect.map(looked, (seen) =>
        account.available(seen ? Math.min(policy.budgetMax, share.known) : account.saved)
      )
    })
  })
})

/** {@link make} as a layer. */
export const layer = (policy: RetryPolicyValues): Layer.Layer<RetryBudget, never, RedisClient> =>
  Layer.effect(RetryBudget, make(policy))
