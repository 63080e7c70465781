import { assert, describe, it } from "@effect/vitest"
import { Effect, Random } from "effect"
import { defaults } from "../../../../src/domain/policy.ts"
import * as RetryBudgetMemory from "../../../../src/layers/retry-budget/memory.ts"
import { suite } from "../../../conformance/retry-budget.ts"

suite("memory", RetryBudgetMemory.layer)

describe("retry budget in memory", () => {
  it.effect("the floor is for the whole fleet, not for each process", () =>
    Effect.gen(function* () {
      const random = yield* Random.Random
      const fleet = Array.from({ length: 30 }, () =>
        RetryBudgetMemory.make({ ...defaults.retry, budgetMinConcurrent: 3 }, random, { processes: 30 })
      )
      let granted = 0
      for (let round = 0; round < 100; round++) {
        for (const budget of fleet) {
          if ((yield* Effect.scoped(budget.draw)).granted) granted++
          for (let i = 0; i < 10; i++) budget.deposit()
        }
      }
      // Each of 30 processes tries one call at a time: 3 of them get through on average.
      assert.isAtLeast(granted / 100, 2)
      assert.isAtMost(granted / 100, 4)
    }).pipe(Random.withSeed("fleet"))
  )
})
