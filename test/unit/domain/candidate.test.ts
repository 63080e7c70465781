import { assert, describe, it } from "@effect/vitest"
import * as Candidate from "../../../src/domain/candidate.ts"

describe("key", () => {
  it("tells provider, model and region apart", () => {
    assert.strictEqual(Candidate.key({ provider: "azure", model: "gpt" }), "azure/gpt")
    assert.strictEqual(Candidate.key({ provider: "azure", model: "gpt", region: "eu" }), "azure/gpt@eu")
  })
})
