import { assert, describe, it } from "@effect/vitest"
import { isDegraded, isGood } from "../../../../src/programs/simulate/ending.ts"
import { ending } from "../../../support/scenario.ts"

describe("ending", () => {
  it("is good when a whole answer came in time, to the millisecond", () => {
    assert.isTrue(isGood(ending({ patienceMs: 1_000 }, { endedMs: 1_000 })))
    assert.isFalse(isGood(ending({ patienceMs: 1_000 }, { endedMs: 1_001 })))
    assert.isFalse(isGood(ending({}, { kind: "refused", code: "BulkheadError.QueueFull" })))
    assert.isFalse(isGood(ending({}, { kind: "failed", code: "ProviderError.Timeout" })))
  })

  it("counts an answer of a lesser rung, but not a part of one", () => {
    const smaller = ending({}, { rung: "smaller-model" })
    const part = ending({}, { rung: "partial" })
    assert.deepStrictEqual([isGood(smaller), isDegraded(smaller)], [true, true])
    assert.deepStrictEqual([isGood(part), isDegraded(part)], [false, true])
    assert.isFalse(isDegraded(ending({})))
    assert.isFalse(isDegraded(ending({}, { kind: "refused", rung: "refused" })))
  })
})
