import { assert, describe, it } from "@effect/vitest"
import { fixed } from "../../../../src/layers/bulkhead/limit.ts"

describe("fixed", () => {
  it("stays, whatever it hears", () => {
    const limit = fixed(7)
    for (let now = 0; now < 100_000; now += 100) {
      limit.taken(7)
      limit.firstToken(now, now, 7)
      limit.pace(now, 16, now, 7)
      limit.answered(now, 16, now, 7)
      limit.dropped(now, 7)
    }
    assert.strictEqual(limit.current, 7)
  })
})
