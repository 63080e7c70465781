// Both families of rate-limit headers.
import { assert, describe, it } from "@effect/vitest"
import { fromHeaders } from "../../../../src/layers/provider/rate-limit-headers.ts"

const of = (headers: Record<string, string>) => fromHeaders((name) => headers[name])

describe("rate-limit headers", () => {
  it("reads OpenAI's and Anthropic's", () => {
    assert.deepStrictEqual(of({ "x-ratelimit-remaining-requests": "9", "x-ratelimit-remaining-tokens": "0" }), {
      remainingRequests: 9,
      remainingTokens: 0
    })
    assert.deepStrictEqual(
      of({ "anthropic-ratelimit-requests-remaining": "4", "anthropic-ratelimit-tokens-remaining": "70000" }),
      { remainingRequests: 4, remainingTokens: 70_000 }
    )
  })

  it("knows nothing of -1, garbage and silence", () => {
    const nothing = { remainingRequests: undefined, remainingTokens: undefined }
    assert.deepStrictEqual(of({}), nothing)
    assert.deepStrictEqual(
      of({ "x-ratelimit-remaining-requests": "-1", "x-ratelimit-remaining-tokens": "many" }),
      nothing
    )
  })
})
