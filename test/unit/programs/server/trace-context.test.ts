import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { parse } from "../../../../src/programs/server/trace-context.ts"

const trace = "0af7651916cd43dd8448eb211c80319c"
const span = "b7ad6b7169203331"

const hex = (length: number) =>
  fc.stringMatching(new RegExp(`^[0-9a-f]{${length}}$`)).filter((text) => !/^0+$/.test(text))

// The cases of W3C Trace Context, sections 3.2 and 4.
describe("traceparent", () => {
  it.each([
    ["sampled", `00-${trace}-${span}-01`, true],
    ["not sampled", `00-${trace}-${span}-00`, false],
    ["other flags beside it", `00-${trace}-${span}-03`, true],
    ["other flags alone", `00-${trace}-${span}-fe`, false],
    ["a later version", `01-${trace}-${span}-01`, true],
    ["a later version with more fields", `cc-${trace}-${span}-01-what-the-future-holds`, true]
  ])("is read: %s", (_, header, sampled) => {
    assert.deepStrictEqual(parse(header), { traceId: trace, spanId: span, sampled, incoming: true })
  })

  it.each([
    ["absent", undefined],
    ["empty", ""],
    ["version ff", `ff-${trace}-${span}-01`],
    ["version 00 with more fields", `00-${trace}-${span}-01-more`],
    ["version 00 with a dash at its end", `00-${trace}-${span}-01-`],
    ["a later version, glued", `cc-${trace}-${span}-01.more`],
    ["zero trace id", `00-${"0".repeat(32)}-${span}-01`],
    ["zero span id", `00-${trace}-${"0".repeat(16)}-01`],
    ["upper case", `00-${trace.toUpperCase()}-${span}-01`],
    ["upper-case span", `00-${trace}-${span.toUpperCase()}-01`],
    ["a letter beyond f", `00-${trace.replace("a", "g")}-${span}-01`],
    ["short trace id", `00-${trace.slice(1)}-${span}-01`],
    ["long span id", `00-${trace}-${span}0-01`],
    ["short flags", `00-${trace}-${span}-1`],
    ["flags that are not hex", `00-${trace}-${span}-0x`],
    ["no version", `${trace}-${span}-01`],
    ["short version", `0-${trace}-${span}-01`],
    ["two headers joined", `00-${trace}-${span}-01, 00-${trace}-${span}-01`],
    ["white space", ` 00-${trace}-${span}-01`],
    ["a line break", `00-${trace}-${span}-01\n`]
  ])("is ignored: %s", (_, header) => assert.isUndefined(parse(header)))

  it("is read whatever its ids are, and never throws", () => {
    fc.assert(
      fc.property(hex(32), hex(16), fc.nat(255), (traceId, spanId, flags) => {
        const header = `00-${traceId}-${spanId}-${flags.toString(16).padStart(2, "0")}`
        assert.deepStrictEqual(parse(header), { traceId, spanId, sampled: flags % 2 === 1, incoming: true })
      })
    )
    fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => assert.isUndefined(parse(text))))
  })
})
