import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as Usage from "../../../src/domain/usage.ts"

const is = Schema.is(Usage.Usage)

describe("Usage", () => {
  it("adds up", () => {
    assert.deepStrictEqual(Usage.make(5, 7), { prompt_tokens: 5, completion_tokens: 7, total_tokens: 12 })
    assert.isTrue(is(Usage.make(0, 0)))
  })

  it("allows for the details that providers add, and null for them", () => {
    assert.isTrue(is({ ...Usage.make(1, 2), prompt_tokens_details: { cached_tokens: 1, vendor: "x" } }))
    assert.isTrue(is({ ...Usage.make(1, 2), completion_tokens_details: null }))
  })

  it("counts in whole tokens, from 0", () => {
    for (const wrong of [{ prompt_tokens: -1 }, { completion_tokens: 1.5 }, { total_tokens: "3" }]) {
      assert.isFalse(is({ ...Usage.make(1, 2), ...wrong }), JSON.stringify(wrong))
    }
  })
})
