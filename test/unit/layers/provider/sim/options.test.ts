import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Options from "../../../../../src/layers/provider/sim/options.ts"

describe("options", () => {
  it.effect("nothing given is a fast, healthy, unlimited provider", () =>
    Effect.gen(function* () {
      const options = yield* Options.decode({})
      assert.deepInclude(options, { seed: 1, refusedCount: false, abandoned: "stop", faults: [] })
      assert.strictEqual(options.rpm, undefined)
      assert.deepStrictEqual(options.ttft, { medianMs: 300, sigma: 0.4 })
      // What was read can be read again: a program may pass on what it has checked.
      assert.deepStrictEqual(yield* Options.decode(options), options)
    })
  )

  it.effect("fills in what a part leaves out", () =>
    Effect.gen(function* () {
      const options = yield* Options.decode({ ttft: { medianMs: 5 }, faults: [{ kind: "cut" }] })
      assert.deepStrictEqual(options.ttft, { medianMs: 5, sigma: 0.4 })
      assert.deepStrictEqual(options.faults, [{ kind: "cut", fromMs: 0, probability: 1, afterChunks: 3 }])
    })
  )

  for (const [wrong, names] of [
    [{ ttft: { medianMs: -1 } }, /medianMs/],
    [{ rpn: 5 }, /rpn/],
    [{ faults: [{ kind: "reject", status: 200 }] }, /status/],
    [{ straggler: { probability: 2 } }, /probability/]
  ] as const) {
    it.effect(`refuses ${JSON.stringify(wrong)} by name`, () =>
      Effect.gen(function* () {
        assert.match((yield* Effect.flip(Options.decode(wrong))).message, names)
      })
    )
  }
})
