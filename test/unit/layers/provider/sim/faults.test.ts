import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Faults from "../../../../../src/layers/provider/sim/faults.ts"
import { decodeFaults } from "../../../../../src/layers/provider/sim/options.ts"
import type { FaultInput } from "../../../../../src/layers/provider/sim/options.ts"

const scheduled = (...faults: ReadonlyArray<FaultInput>) =>
  Effect.map(decodeFaults(faults), (read) => Faults.schedule("kind" in read ? [read] : read, 1000))

const never = () => assert.fail("drew")

describe("faults", () => {
  it.effect("are in force from their first to before their last millisecond", () =>
    Effect.gen(function* () {
      const list = yield* scheduled({ kind: "outage", fromMs: 10, toMs: 20 })
      const down = (now: number) => Faults.fateOf(list, now, never).refusal !== undefined
      assert.deepStrictEqual([1009, 1010, 1019, 1020].map(down), [false, true, true, false])
    })
  )

  it.effect("slow-downs multiply, and of two endings the first listed wins", () =>
    Effect.gen(function* () {
      const list = yield* scheduled(
        { kind: "brownout", factor: 3 },
        { kind: "brownout", factor: 5 },
        { kind: "slow-drip", factor: 2 },
        { kind: "cut", afterChunks: 1 },
        { kind: "stall" }
      )
      const fate = Faults.fateOf(list, 1000, never)
      assert.strictEqual(fate.ttftFactor, 15)
      assert.strictEqual(fate.tokenFactor, 2)
      assert.strictEqual(fate.mid?.kind, "cut")
    })
  )

  it.effect("draw once each where they have a probability", () =>
    Effect.gen(function* () {
      const list = yield* scheduled({ kind: "refuse", probability: 0.5 }, { kind: "hang", probability: 0.5 })
      let draws = 0
      const fate = Faults.fateOf(list, 1000, () => (draws++ === 0 ? 0.4 : 0.6))
      assert.strictEqual(draws, 2)
      assert.strictEqual(fate.refusal?._tag, "Refused")
      assert.strictEqual(fate.hang, undefined)
    })
  )

  it.effect("capacity changes where its faults begin and end", () =>
    Effect.gen(function* () {
      const list = yield* scheduled(
        { kind: "capacity", factor: 0.5, fromMs: 10, toMs: 30 },
        { kind: "capacity", factor: 0.1, fromMs: 20 },
        { kind: "outage", fromMs: 5 }
      )
      assert.deepStrictEqual(
        [1000, 1010, 1020, 1030].map((now) => Faults.capacityAt(list, 100, now)),
        [100, 50, 5, 10]
      )
      assert.deepStrictEqual(
        [1000, 1010, 1020, 1030].map((now) => Faults.nextCapacityChange(list, now)),
        [1010, 1020, 1030, Infinity]
      )
      assert.strictEqual(Faults.capacityAt(list, Infinity, 1020), Infinity)
    })
  )
})
