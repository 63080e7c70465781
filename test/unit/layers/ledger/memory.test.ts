/** The books in memory. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Memory from "../../../../src/layers/ledger/memory.ts"
import { suite } from "../../../conformance/ledger.ts"
import { all, dayMs, entry, noon } from "../../../support/ledger.ts"

suite("memory", Memory.layer)

describe("Ledger in memory", () => {
  it.effect("keeps the sum of each day when there are more entries than it keeps", () =>
    Effect.gen(function* () {
      const { append, sum } = Memory.make()
      for (let i = 0; i < 150_000; i++)
        append(entry("acme", `e${i}`, { microUsd: 1, feature: i % 3 === 0 ? "a" : "b" }))
      const day = { ...all("acme"), fromMs: noon - dayMs / 2, toMs: noon + dayMs / 2 }
      assert.strictEqual((yield* sum(day)).microUsd, 150_000)
      assert.strictEqual((yield* sum({ ...day, feature: "a" })).microUsd, 50_000)
    })
  )

  it.effect("forgets a tenant's days once they are far in the past", () =>
    Effect.gen(function* () {
      const { append, sum } = Memory.make()
      for (let day = 0; day < 500; day++) append(entry("acme", `e${day}`, { atMs: noon + day * dayMs }))
      assert.strictEqual((yield* sum(all("acme"))).entries, 100)
      assert.strictEqual((yield* sum({ ...all("acme"), fromMs: noon + 469 * dayMs })).entries, 31)
    })
  )
})
