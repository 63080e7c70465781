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

  it("reads the limits themselves, and when all of them will be there again", () => {
    assert.deepStrictEqual(
      of({
        "x-ratelimit-limit-requests": "200",
        "x-ratelimit-remaining-requests": "199",
        "x-ratelimit-reset-requests": "7m12s",
        "x-ratelimit-limit-tokens": "30000",
        "x-ratelimit-remaining-tokens": "29000",
        "x-ratelimit-reset-tokens": "1.5s"
      }),
      {
        remainingRequests: 199,
        remainingTokens: 29_000,
        limitRequests: 200,
        limitTokens: 30_000,
        resetRequestsMs: 432_000,
        resetTokensMs: 1_500
      }
    )
    assert.deepStrictEqual(
      of({
        "anthropic-ratelimit-requests-limit": "50",
        "anthropic-ratelimit-requests-remaining": "49",
        "anthropic-ratelimit-requests-reset": "2026-11-28T12:00:00Z",
        "x-ratelimit-reset-requests": "soon"
      }),
      { remainingRequests: 49, remainingTokens: undefined, limitRequests: 50 }
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
