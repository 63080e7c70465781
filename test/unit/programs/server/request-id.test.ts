import { assert, describe, it } from "@effect/vitest"
import { fromHeader } from "../../../../src/programs/server/request-id.ts"

describe("a client's request id", () => {
  it.each(["a", "req_0123abc", "5b6e8f0c-1d2e-4f3a-9b8c-7d6e5f4a3b2c", "svc:web.1-x", "x".repeat(128)])(
    "%s is taken",
    (id) => assert.strictEqual(fromHeader(id), id)
  )

  it.each([undefined, "", "x".repeat(129), "a b", "a\nb", "a\r\nx: y", "é", '"', "a,b", "<x>", "a\n"])(
    "%j is not: it may not go into logs and headers",
    (id) => assert.isUndefined(fromHeader(id))
  )
})
