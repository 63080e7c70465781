import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { indexOf, parse, requestOf, textOf } from "../../../../../bench/scenarios/s9/script.ts"

const script = { id: "d1", headMs: 1.5, firstMs: 2, gapMs: 3, chunks: 4, chars: 5, silent: "head" as const }

describe("a script", () => {
  it("comes out of a request as it went in", () => {
    for (const stream of [true, false]) {
      assert.deepStrictEqual(parse(requestOf("m", stream, script)), { script, stream })
    }
  })

  it("that is missing is an error", () => {
    assert.throws(() => parse(JSON.stringify({ messages: [{ content: "Hi" }] })), /no script/)
  })
})

describe("a chunk's text", () => {
  it("has its length and its number", () => {
    fc.assert(
      fc.property(fc.nat(1_000_000), fc.integer({ min: 0, max: 10_000 }), (index, chars) => {
        const text = textOf(index, chars)
        assert.strictEqual(text.length, Math.max(chars, `#${index} `.length))
        assert.strictEqual(indexOf(text), index)
      })
    )
  })
})
