/** What every layer of the RetryBudget port must do. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Scheduler, Scope } from "effect"
import { defaults } from "../../src/domain/policy.ts"
import type { RetryPolicyValues } from "../../src/domain/policy.ts"
import { RetryBudget } from "../../src/services/retry-budget.ts"
import { enter } from "../support/raw-entry.ts"

const policy: RetryPolicyValues = {
  ...defaults.retry,
  budgetRatio: 0.1,
  budgetMax: 10,
  budgetConcurrent: 0.2,
  budgetMinConcurrent: 3,
  processes: 1
}

const drawOnce = Effect.scoped(Effect.flatMap(RetryBudget, (budget) => budget.draw))
const drawn = (tries: number) =>
  Effect.map(
    Effect.forEach(Array.from({ length: tries }), () => drawOnce),
    (draws) => draws.filter(({ granted }) => granted).length
  )

/** Do `effect` in a scope that stays open. */
const hold = <A, E>(effect: Effect.Effect<A, E, Scope.Scope>) =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    return { value: yield* Scope.provide(effect, scope), close: Scope.close(scope, Exit.void) }
  })

/** `shared`: the processes of a fleet draw from one bucket; otherwise each has a part of it. */
export const suite = (
  name: string,
  layer: (policy: RetryPolicyValues) => Layer.Layer<RetryBudget>,
  shared = false
): void => {
  const effect = <A, E>(title: string, test: Effect.Effect<A, E, RetryBudget | Scope.Scope>, values = policy) =>
    it.effect(title, () => Effect.provide(test, layer(values)))

  describe(`RetryBudget: ${name}`, () => {
    effect(
      "starts full, runs dry, and is filled by successes up to its maximum",
      Effect.gen(function* () {
        const budget = yield* RetryBudget
        assert.strictEqual(yield* drawn(100), 10)
        for (let i = 0; i < 9; i++) budget.deposit()
        assert.strictEqual(yield* drawn(5), 0)
        budget.deposit()
        assert.strictEqual(yield* drawn(5), 1)
        for (let i = 0; i < 1_000; i++) budget.deposit()
        assert.strictEqual(yield* drawn(100), 10)
      })
    )

    effect(
      "in a long outage extra calls are what was saved up, whatever the load",
      Effect.gen(function* () {
        const budget = yield* RetryBudget
        let extra = 0
        for (let i = 0; i < 1_000; i++) {
          extra += yield* Effect.scoped(
            Effect.andThen(
              budget.enter,
              Effect.map(budget.draw, ({ granted }) => (granted ? 1 : 0))
            )
          )
        }
        assert.strictEqual(extra, 10)
      })
    )

    effect(
      "caps extra calls in flight at a share of all, with a floor",
      Effect.gen(function* () {
        const budget = yield* RetryBudget
        const extras = []
        for (let i = 0; i < 5; i++) extras.push(yield* hold(budget.draw))
        assert.deepStrictEqual(
          extras.map(({ value }) => value.granted),
          [true, true, true, false, false]
        )
        assert.strictEqual(yield* budget.available, 0)
        // 20 first calls: 5 of 25 are a fifth.
        const first = yield* Effect.forEach(Array.from({ length: 20 }), () => hold(budget.enter))
        assert.strictEqual(yield* budget.available, 2)
        assert.isTrue((yield* hold(budget.draw)).value.granted)
        assert.isTrue((yield* hold(budget.draw)).value.granted)
        assert.isFalse((yield* hold(budget.draw)).value.granted)
        yield* Effect.forEach(first, ({ close }) => close)
        yield* extras[0]!.close
        assert.isFalse((yield* hold(budget.draw)).value.granted)
      })
    )

    effect(
      "says what could be drawn",
      Effect.gen(function* () {
        const budget = yield* RetryBudget
        assert.strictEqual(yield* budget.available, 3)
        yield* Effect.forEach(Array.from({ length: 100 }), () => budget.enter)
        assert.strictEqual(yield* budget.available, 10)
        yield* drawn(4)
        assert.strictEqual(yield* budget.available, 6)
      })
    )

    effect(
      "a budget of nothing allows nothing",
      Effect.gen(function* () {
        const budget = yield* RetryBudget
        for (let i = 0; i < 100; i++) budget.deposit()
        assert.strictEqual(yield* drawn(10), 0)
      }),
      { ...policy, budgetMax: 0 }
    )

    effect(
      "the raw ways in and the scoped ones count the same",
      Effect.gen(function* () {
        const budget = yield* RetryBudget
        const raw = []
        for (let i = 0; i < 10; i++) raw.push(yield* enter(budget.enterUnsafe))
        const scoped = yield* Effect.forEach(Array.from({ length: 10 }), () => hold(budget.enter))
        // 20 first calls allow 5 extra ones.
        assert.strictEqual(yield* budget.available, 5)
        const draw = yield* enter(budget.drawUnsafe)
        assert.isTrue(draw.granted)
        assert.isTrue((yield* hold(budget.draw)).value.granted)
        assert.strictEqual(yield* budget.available, 3)
        for (const lease of raw) lease.release()
        // 12 in flight, 2 of them extra: a third is the floor.
        assert.strictEqual(yield* budget.available, 1)
        yield* Effect.forEach(scoped, ({ close }) => close)
        assert.strictEqual(yield* budget.available, 1)
        draw.release()
        assert.strictEqual(yield* budget.available, 2)
      })
    )

    effect(
      "releasing twice gives back once, and a draw that was not granted has nothing to give back",
      Effect.gen(function* () {
        const budget = yield* RetryBudget
        const draws = []
        for (let i = 0; i < 4; i++) draws.push(yield* enter(budget.drawUnsafe))
        assert.deepStrictEqual(
          draws.map(({ granted }) => granted),
          [true, true, true, false]
        )
        draws[3]!.release()
        assert.strictEqual(yield* budget.available, 0)
        draws[0]!.release()
        draws[0]!.release()
        assert.strictEqual(yield* budget.available, 1)
        // Released by hand and by its scope.
        yield* Effect.scoped(Effect.map(budget.draw, (draw) => draw.release()))
        assert.strictEqual(yield* budget.available, 1)
        const first = []
        for (let i = 0; i < 20; i++) first.push(yield* enter(budget.enterUnsafe))
        assert.strictEqual(yield* budget.available, 3)
        for (let i = 0; i < 5; i++) first[0]!.release()
        // 19 first calls and 2 extra ones: 3 of 22 and 4 of 23 keep the share of a fifth, 5 of 24 would not.
        assert.strictEqual(yield* budget.available, 2)
      })
    )

    effect(
      "a draw for a call that was not made costs nothing",
      Effect.gen(function* () {
        const budget = yield* RetryBudget
        const draws = []
        for (let i = 0; i < 3; i++) draws.push(yield* enter(budget.drawUnsafe))
        assert.strictEqual(yield* budget.available, 0)
        for (const draw of draws) {
          draw.unused()
          draw.unused()
          draw.release()
        }
        assert.strictEqual(yield* drawn(100), 10)
        // After its release it has been made.
        budget.deposit()
        for (let i = 0; i < 9; i++) budget.deposit()
        const made = yield* enter(budget.drawUnsafe)
        made.release()
        made.unused()
        const refused = yield* enter(budget.drawUnsafe)
        assert.isFalse(refused.granted)
        refused.unused()
        assert.strictEqual(yield* budget.available, 0)
      })
    )

    effect(
      "what gives a draw back works apart from the draw",
      Effect.gen(function* () {
        const budget = yield* RetryBudget
        const [first, second] = [yield* enter(budget.drawUnsafe), yield* enter(budget.drawUnsafe)]
        assert.strictEqual(yield* budget.available, 1)
        const { release } = first
        const { unused } = second
        release()
        unused()
        assert.strictEqual(yield* budget.available, 3)
      })
    )

    effect(
      "a full bucket stays full, whatever is given back",
      Effect.gen(function* () {
        const budget = yield* RetryBudget
        const draw = yield* enter(budget.drawUnsafe)
        for (let i = 0; i < 100; i++) budget.deposit()
        draw.unused()
        assert.strictEqual(yield* drawn(100), 10)
      })
    )

    effect(
      "the fleet's budget is divided, but a process keeps what single failures need",
      Effect.gen(function* () {
        assert.strictEqual(yield* drawn(100), shared ? 100 : 20)
        const held = []
        for (let i = 0; i < 200; i++) (yield* RetryBudget).deposit()
        // Extra calls in flight are counted by each process for itself.
        for (let i = 0; i < 100; i++) held.push(yield* enter((yield* RetryBudget).drawUnsafe))
        assert.strictEqual(held.filter(({ granted }) => granted).length, 15)
      }),
      { ...policy, budgetMax: 100, budgetMinConcurrent: 75, processes: 5 }
    )

    effect(
      "a small part of a large fleet's budget is ten, and never more than all of it",
      Effect.gen(function* () {
        const held = []
        for (let i = 0; i < 100; i++) held.push(yield* enter((yield* RetryBudget).drawUnsafe))
        assert.strictEqual(held.filter(({ granted }) => granted).length, 4)
        for (const draw of held) draw.release()
        assert.strictEqual(yield* drawn(100), shared ? 16 : 6)
      }),
      { ...policy, budgetMax: 20, budgetMinConcurrent: 4, processes: 100 }
    )

    effect(
      "no call in flight is lost or counted twice wherever an interruption lands",
      Effect.gen(function* () {
        const budget = yield* RetryBudget
        for (let ops = 3; ops <= 64; ops++) {
          for (let turns = 0; turns < 4; turns++) {
            const fiber = yield* Effect.scoped(
              Effect.andThen(Effect.andThen(budget.enter, budget.draw), Effect.never)
            ).pipe(Effect.provideService(Scheduler.MaxOpsBeforeYield, ops), Effect.forkChild)
            for (let i = 0; i < turns; i++) yield* Effect.yieldNow
            yield* Fiber.interrupt(fiber)
            for (let i = 0; i < 10; i++) budget.deposit()
          }
        }
        // Only the floor is left: nothing is in flight.
        for (let i = 0; i < 100; i++) budget.deposit()
        assert.strictEqual(yield* budget.available, 3)
      })
    )
  })
}
