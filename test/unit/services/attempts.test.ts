import { assert, describe, it } from "vitest"
import { calls } from "../../../src/services/attempts.ts"
import type { Attempt } from "../../../src/services/attempts.ts"

const attempt = (called: boolean): Attempt => ({
  candidate: { provider: "up", model: "m" },
  retry: 0,
  called,
  startedAt: 0,
  openedAt: undefined,
  endedAt: undefined,
  outcome: "pending"
})

describe("calls", () => {
  it("are the tries that left, not those that were refused on their way", () => {
    assert.strictEqual(calls([]), 0)
    assert.strictEqual(calls([attempt(false)]), 0)
    assert.strictEqual(calls([attempt(true), attempt(false), attempt(true)]), 2)
  })
})
