// Retry-After in every form that is sent.
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { fromHeaders } from "../../../../src/layers/provider/retry-after.ts"

const now = Date.parse("Sun, 06 Nov 1994 08:49:37 GMT")
const of = (headers: Record<string, string>) => fromHeaders((name) => headers[name], now)

describe("retry-after", () => {
  it.each([
    [{ "retry-after-ms": "1234.5" }, 1234.5],
    [{ "retry-after-ms": "250", "retry-after": "9" }, 250],
    [{ "retry-after-ms": "soon", "retry-after": "9" }, 9_000],
    [{ "retry-after": "0" }, 0],
    [{ "retry-after": " 2 " }, 2_000],
    [{ "retry-after": "1.5" }, 1_500],
    [{ "retry-after": "Sun, 06 Nov 1994 08:49:47 GMT" }, 10_000],
    [{ "retry-after": "Sunday, 06-Nov-94 08:49:47 GMT" }, 10_000],
    [{ "retry-after": "Sun Nov  6 08:49:47 1994" }, 10_000],
    [{ "retry-after": "Sun, 06 Nov 1994 08:49:07 GMT" }, 0]
  ])("%o is %s ms", (headers, ms) => {
    assert.strictEqual(of(headers as unknown as Record<string, string>), ms)
  })

  it.each([
    "",
    "-5",
    "soon",
    "5 minutes",
    "try 5",
    "NaN",
    "Infinity",
    "1e3",
    "0x10",
    "Sun, garbage GMT",
    "9".repeat(400)
  ])("ignores %s", (value) => {
    assert.isUndefined(of({ "retry-after": value }))
  })

  it("is never negative nor infinite, whatever is sent", () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (a, b) => {
        const ms = of({ "retry-after-ms": a, "retry-after": b })
        assert.isTrue(ms === undefined || (Number.isFinite(ms) && ms >= 0))
      })
    )
  })
})
