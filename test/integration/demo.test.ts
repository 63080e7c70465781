// The incident for real, in its fast form: real SDKs, real HTTP, a real Ballast server.
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { measure } from "../../src/programs/demo.ts"

describe("demo", () => {
  it.live(
    "Ballast calls the provider hardly more than once a question, and fails fewer users than the naive glue",
    () =>
      Effect.gen(function* () {
        const { ballast, naive } = yield* measure({ requests: 300, seed: 2, fast: true, json: true }, undefined)
        for (const side of [naive, ballast]) {
          assert.strictEqual(side.asked, 150)
          // Every user ends in exactly one way.
          assert.strictEqual(side.answered + side.refusedFast + side.errors, side.asked)
          assert.isAbove(side.answered, 0)
          assert.isAbove(side.costUsd, 0)
        }
        assert.isAtMost(ballast.attemptsPerRequest, 1.15)
        assert.isBelow(ballast.errors, naive.errors)
        assert.isBelow(ballast.attemptsPerRequest, naive.attemptsPerRequest)
      }),
    { timeout: 30_000 }
  )
})
