/** When late calls are so many that everything is slow, and when they are not any more. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Random, Schema } from "effect"
import { calls, Lateness } from "../../../../src/layers/hedging/lateness.ts"

/** Calls until `done`, at most so many. */
const until = (lateness: Lateness, late: boolean, done: boolean, most = 1_000): number => {
  for (let count = 1; count <= most; count++) {
    lateness.add(late)
    if (lateness.tooMany === done) return count
  }
  return Infinity
}

describe("too many late calls", () => {
  it("are seen within ten of them, and forgotten within as many calls as are looked back on", () => {
    const lateness = new Lateness(0.15, 0.05)
    assert.isFalse(lateness.tooMany)
    assert.isAtMost(until(lateness, true, true), 10)
    for (let i = 0; i < 1_000; i++) lateness.add(true)
    assert.isTrue(lateness.tooMany)
    assert.isAtMost(until(lateness, false, false), calls)
  })

  it.effect("are not the usual stragglers", () =>
    Effect.gen(function* () {
      const random = yield* Random.Random
      const lateness = new Lateness(0.15, 0.05)
      let stopped = 0
      for (let i = 0; i < 100_000; i++) {
        lateness.add(random.nextDoubleUnsafe() < 0.05)
        if (lateness.tooMany) stopped++
      }
      assert.isAtMost(stopped, 2_000)
    }).pipe(Random.withSeed("stragglers"))
  )

  it("once seen, do not come and go with each call around the limit", () => {
    const lateness = new Lateness(0.15, 0.05)
    let changes = 0
    let before = false
    for (let i = 0; i < 6_400; i++) {
      // Eight, nine, ten and eleven of each 64 in turn.
      lateness.add(i % 64 < 8 + (Math.floor(i / 64) % 4))
      if (lateness.tooMany !== before) changes++
      before = lateness.tooMany
    }
    assert.strictEqual(changes, 1)
  })

  it("never are where the limit is all of them", () => {
    const lateness = new Lateness(1, 0.05)
    assert.strictEqual(until(lateness, true, true), Infinity)
  })

  const Runs = Schema.Array(
    Schema.Struct({ late: Schema.Boolean, count: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 100 })) })
  )

  it.prop("are more than the limit of those that are looked back on", [Runs], ([runs]) => {
    // Where the usual share is beyond the limit there is no way back halfway: stopped exactly while there are too many.
    const lateness = new Lateness(0.1, 0.5)
    const seen: Array<boolean> = []
    for (const { count, late } of runs) {
      for (let i = 0; i < count; i++) {
        lateness.add(late)
        seen.push(late)
        assert.strictEqual(lateness.tooMany, seen.slice(-calls).filter(Boolean).length > 0.1 * calls)
      }
    }
  })

  it("are forgotten when cleared", () => {
    const lateness = new Lateness(0.15, 0.05)
    until(lateness, true, true)
    lateness.clear()
    assert.isFalse(lateness.tooMany)
    lateness.add(true)
    assert.isFalse(lateness.tooMany)
  })
})
