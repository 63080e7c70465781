import { assert, describe, it } from "@effect/vitest"
import * as Refusals from "../../../../src/layers/bulkhead/refusals.ts"
import { ask } from "../../../conformance/bulkhead-kit.ts"

describe("refusals", () => {
  it("advise the time the queue needs, times 0.5 to 1.5, within bounds", () => {
    assert.strictEqual(Refusals.retryAfterMs(4_000, 0), 2_000)
    assert.strictEqual(Refusals.retryAfterMs(4_000, 0.5), 4_000)
    assert.approximately(Refusals.retryAfterMs(4_000, 1 - 2 ** -53), 6_000, 1e-6)
    assert.strictEqual(Refusals.retryAfterMs(1, 0), 100)
    assert.strictEqual(Refusals.retryAfterMs(Infinity, 0.5), 60_000)
  })

  it("carry the request's id where there is one", () => {
    const request = ask({ deadline: { atMs: 500, budgetMs: 400 } })
    for (const id of ["req-1", undefined]) {
      const errors = [
        Refusals.tooLate(request, id),
        Refusals.full(request, id, 100),
        Refusals.timeout(request, id, 1_000, 100)
      ]
      for (const error of errors) assert.strictEqual(error.requestId, id)
      assert.deepStrictEqual(
        errors.map(({ reason }) => reason),
        [
          { _tag: "Exceeded", stage: "queue", budgetMs: 400 },
          { _tag: "QueueFull", key: "openai", retryAfterMs: 100 },
          { _tag: "QueueTimeout", key: "openai", waitedMs: 1_000, retryAfterMs: 100 }
        ]
      )
    }
  })
})
