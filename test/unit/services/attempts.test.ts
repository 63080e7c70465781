import { assert, describe, it } from "vitest"
import { calls, lost } from "../../../src/services/attempts.ts"
import type { Attempt } from "../../../src/services/attempts.ts"

const attempt = (called: boolean, outcome: Attempt["outcome"] = "pending"): Attempt => ({
  candidate: { provider: "up", model: "m" },
  retry: 0,
  hedge: false,
  called,
  startedAt: 0,
  openedAt: undefined,
  endedAt: undefined,
  outcome
})

describe("calls", () => {
  it("are the tries that left, not those that were refused on their way", () => {
    assert.strictEqual(calls([]), 0)
    assert.strictEqual(calls([attempt(false)]), 0)
    assert.strictEqual(calls([attempt(true), attempt(false), attempt(true)]), 2)
  })
})

describe("lost", () => {
  it("are the calls that were ended for the one that answered", () => {
    for (const outcome of ["ok", "cancelled"] as const) {
      const answered = attempt(true, outcome)
      assert.strictEqual(lost([answered], answered), 0)
      assert.strictEqual(lost([attempt(true, "ProviderError.Overloaded"), answered], answered), 0)
      assert.strictEqual(lost([attempt(false, "cancelled"), answered], answered), 0)
      assert.strictEqual(lost([attempt(true, "cancelled"), answered], answered), 1)
      assert.strictEqual(lost([answered, attempt(true, "cancelled")], answered), 1)
    }
  })
})
