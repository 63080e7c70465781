import { assert, describe, it } from "@effect/vitest"
import { nearest } from "../../../../src/programs/config/nearest.ts"

describe("nearest", () => {
  it.each([
    ["prot", ["host", "port"], "port"],
    ["apikey", ["auth", "apiKey"], "apiKey"],
    ["hardMS", ["hardMs", "idleMs"], "hardMs"],
    ["request_per_minute", ["requestsPerMinute", "tokensPerMinute"], "requestsPerMinute"],
    ["zebra", ["host", "port"], undefined],
    ["y", ["x"], undefined],
    ["x", [], undefined]
  ] as const)("%s among %j is %s", (name, known, expected) => {
    assert.strictEqual(nearest(name, known), expected)
  })
})
