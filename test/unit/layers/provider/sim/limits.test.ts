import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Limits from "../../../../../src/layers/provider/sim/limits.ts"
import { decode } from "../../../../../src/layers/provider/sim/options.ts"
import type { SimOptionsInput } from "../../../../../src/layers/provider/sim/options.ts"

const make = (input: SimOptionsInput) => Effect.map(decode(input), (options) => Limits.make(options, 0))

describe("limits", () => {
  it.effect("nothing is limited by default", () =>
    Effect.gen(function* () {
      const limits = yield* make({})
      assert.deepStrictEqual(limits.take(0, 1e9), { _tag: "Granted" })
      assert.strictEqual(limits.view().remainingRequests, undefined)
    })
  )

  it.effect("takes from neither bucket when one is empty", () =>
    Effect.gen(function* () {
      const limits = yield* make({ rpm: 60, tpm: 600 })
      assert.strictEqual(limits.take(0, 600)._tag, "Granted")
      assert.deepStrictEqual(limits.take(0, 100), { _tag: "Refused", unit: "tokens", retryAfterMs: 10_000 - 1e-4 })
      assert.deepStrictEqual(limits.view(), {
        limitRequests: 60,
        remainingRequests: 59,
        limitTokens: 600,
        remainingTokens: 0
      })
    })
  )

  it.effect("a refused call that counts pushes the next one back, but not below an empty bucket", () =>
    Effect.gen(function* () {
      const limits = yield* make({ rpm: 60, burstMs: 1000, refusedCount: true })
      assert.strictEqual(limits.take(0, 0)._tag, "Granted")
      for (const now of [500, 900, 1400]) assert.strictEqual(limits.take(now, 0)._tag, "Refused")
      assert.strictEqual(limits.take(2399, 0)._tag, "Refused")
      assert.strictEqual(limits.take(3399, 0)._tag, "Granted")
    })
  )

  it.effect("what is larger than the bucket never fits", () =>
    Effect.gen(function* () {
      const limits = yield* make({ tpm: 60_000, burstMs: 1000 })
      const verdict = limits.take(0, 1001)
      assert(verdict._tag === "Refused")
      assert.strictEqual(verdict.retryAfterMs, Infinity)
    })
  )
})
