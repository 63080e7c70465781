/**
 * What the retry budgets of several processes must do together, where they
 * share one bucket. Runs in real time, since stores do.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope } from "effect"
import { defaults } from "../../src/domain/policy.ts"
import type { RetryPolicyValues } from "../../src/domain/policy.ts"
import { RetryBudget } from "../../src/services/retry-budget.ts"

type Budget = RetryBudget["Service"]

/** Start one more process. */
export type Start = Effect.Effect<Budget, never, Scope.Scope>

/** A bucket that is plainly smaller than what the processes would have alone. The cap on calls in flight is off. */
export const policy: RetryPolicyValues = {
  ...defaults.retry,
  budgetRatio: 0.1,
  budgetMax: 40,
  budgetConcurrent: 1,
  processes: 20
}

/** Draw so often, one after the other; how many were granted. */
export const drawn = (budget: Budget, times: number) =>
  Effect.map(
    Effect.forEach(Array.from({ length: times }), () => Effect.scoped(budget.draw)),
    (draws) => draws.filter(({ granted }) => granted).length
  )

/** Draw until so many were granted. */
export const eventually = (budget: Budget, count: number, ms: number) => {
  let got = 0
  const once = Effect.map(drawn(budget, count), (some) => (got += some))
  return Effect.timeoutOrElse(Effect.repeat(Effect.tap(once, Effect.sleep(20)), { until: () => got >= count }), {
    duration: ms,
    orElse: () => Effect.sync((): never => assert.fail(`${got} of ${count} draws granted within ${ms} ms`))
  })
}

const several = (start: Start, count: number) => Effect.forEach(Array.from({ length: count }), () => start)

/** All of them draw at the same time, again and again. */
const storm = (budgets: ReadonlyArray<Budget>, rounds: number) =>
  Effect.map(
    Effect.forEach(budgets, (budget) => drawn(budget, rounds), { concurrency: "unbounded" }),
    (all) => all.reduce((sum, one) => sum + one, 0)
  )

export const suite = (
  name: string,
  fleet: (policy: RetryPolicyValues) => Effect.Effect<Start, never, Scope.Scope>
): void => {
  const live = <A, E>(title: string, test: (start: Start) => Effect.Effect<A, E, Scope.Scope>) =>
    it.live(title, () => Effect.flatMap(fleet(policy), test))

  describe(`RetryBudget: ${name}: a fleet`, () => {
    live("when everything fails, 20 processes make together the extra calls that were saved up, and no more", (start) =>
      Effect.gen(function* () {
        const budgets = yield* several(start, 20)
        let extra = 0
        for (let i = 0; i < 10; i++) {
          extra += yield* storm(budgets, 10)
          yield* Effect.sleep(100)
        }
        assert.strictEqual(extra, policy.budgetMax)
      })
    )

    live("with successes they make as many more as were paid for", (start) =>
      Effect.gen(function* () {
        const budgets = yield* several(start, 20)
        let extra = 0
        let successes = 0
        for (let i = 0; i < 20; i++) {
          extra += yield* storm(budgets, 10)
          for (const budget of budgets) {
            for (let n = 0; n < 5; n++) {
              budget.deposit()
              successes++
            }
          }
          yield* Effect.sleep(20)
        }
        for (let i = 0; i < 5; i++) {
          extra += yield* storm(budgets, 10)
          yield* Effect.sleep(100)
        }
        const paid = policy.budgetRatio * successes
        assert.isAtMost(extra, policy.budgetMax + paid)
        // Nor is what was paid lost, but for what is left over in each process and what a full bucket could not take.
        assert.isAtLeast(extra, paid)
      })
    )

    live("one process may draw what all have saved up, and another what that one has paid in", (start) =>
      Effect.gen(function* () {
        const [one, two] = [yield* start, yield* start]
        assert.strictEqual(yield* drawn(one, 100), policy.budgetMax)
        assert.strictEqual(yield* drawn(two, 100), 0)
        for (let i = 0; i < 100; i++) one.deposit()
        yield* eventually(two, 10, 2_000)
        assert.strictEqual(yield* drawn(two, 10), 0)
      })
    )

    live("what a process has in advance is the others' once it is killed, or idle", (start) =>
      Effect.gen(function* () {
        const two = yield* start
        const life = yield* Scope.make()
        const one = yield* Scope.provide(start, life)
        assert.strictEqual(yield* drawn(one, 1), 1)
        yield* Scope.close(life, Exit.void)
        const idle = yield* start
        assert.strictEqual(yield* drawn(idle, 1), 1)
        yield* eventually(two, policy.budgetMax - 2, 5_000)
        assert.strictEqual(yield* drawn(two, 10), 0)
      })
    )

    live("who gives up waiting takes nothing along", (start) =>
      Effect.gen(function* () {
        const [one, two] = [yield* start, yield* start]
        assert.strictEqual(yield* drawn(one, policy.budgetMax), policy.budgetMax)
        for (let i = 0; i < 10; i++) one.deposit()
        // Interrupted while it waits for the only one there is.
        const waiting = yield* Effect.forkChild(Effect.scoped(one.draw), { startImmediately: true })
        yield* Fiber.interrupt(waiting)
        yield* eventually(two, 1, 5_000)
        assert.strictEqual(yield* drawn(two, 10), 0)
      })
    )
  })
}
