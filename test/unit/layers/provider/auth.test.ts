// Keys become headers, and are known as secrets.
import { assert, describe, it } from "@effect/vitest"
import { Redacted } from "effect"
import * as Auth from "../../../../src/layers/provider/auth.ts"

describe("auth", () => {
  it("makes each vendor's header and drops white space around the key", () => {
    const key = Redacted.make(" k1\n")
    assert.deepStrictEqual(Auth.bearer(key), { headers: ["authorization", "Bearer k1"], secrets: ["k1"] })
    assert.deepStrictEqual(Auth.apiKey(key), { headers: ["api-key", "k1"], secrets: ["k1"] })
    assert.deepStrictEqual(Auth.xApiKey(key), { headers: ["x-api-key", "k1"], secrets: ["k1"] })
    assert.deepStrictEqual(Auth.none, { headers: [], secrets: [] })
  })
})
