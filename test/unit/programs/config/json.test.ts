import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import * as fc from "fast-check"
import { parse } from "../../../../src/programs/config/json.ts"

const mistakes: ReadonlyArray<readonly [text: string, line: number, column: number, detail: string]> = [
  ["", 1, 1, "expected a value, found the end of the file"],
  ['{\n  "a": 1,\n}', 3, 1, 'a comma before "}"'],
  ['{\n  "a": 1\n  "b": 2\n}', 3, 3, 'expected "," or "}", found "\\""'],
  ["{ 'a': 1 }", 1, 3, "a key in double quotes"],
  ['{ "a" 1 }', 1, 7, 'expected ":" after the key "a"'],
  ['{ "a": nope }', 1, 8, 'expected a value, found "n"'],
  ['{\n  // note\n  "a": 1 }', 2, 3, "no comments"],
  ['{ "a": 1 /* x */ }', 1, 10, "no comments"],
  ['{ "a": "x\n" }', 1, 8, "not closed"],
  ['{ "a": 01 }', 1, 9, 'expected "," or "}"'],
  ["[1, 2", 1, 6, "found the end of the file"],
  ["{} x", 1, 4, "expected the end of the file"],
  ['{ "a": 1,\n  "b": { "a": 1 },\n  "a": 2 }', 3, 3, 'the key "a" stands twice'],
  [`${"[".repeat(200)}${"]".repeat(200)}`, 1, 102, "too deeply"]
]

const accepts = (text: string) => {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

describe("parse", () => {
  it.each(mistakes)("%j: line %i, column %i, %s", (text, line, column, detail) => {
    const result = parse(text)
    assert.isTrue(Result.isFailure(result))
    if (Result.isFailure(result)) {
      assert.deepStrictEqual([result.failure.line, result.failure.column], [line, column])
      assert.include(result.failure.detail, detail)
    }
  })

  it("ignores a byte order mark", () => {
    assert.deepStrictEqual(parse('\uFEFF{"a":1}'), Result.succeed({ a: 1 }))
  })

  it("gives what JSON.parse gives", () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 5 }), fc.constantFrom(undefined, 2, "\t"), (value, indent) => {
        const text = JSON.stringify(value, undefined, indent)
        const result = parse(text)
        assert.deepStrictEqual(Result.getOrThrow(result), JSON.parse(text))
      }),
      { numRuns: 200 }
    )
  })

  it("refuses what JSON.parse refuses", () => {
    const piece = fc.constantFrom(
      "{",
      "}",
      "[",
      "]",
      ",",
      ":",
      '"a"',
      '"b"',
      "1",
      "-",
      ".5",
      "e3",
      "true",
      "nul",
      " ",
      "\n",
      '"\\u12',
      "\\"
    )
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
        const text = pieces.join("")
        const result = parse(text)
        // A key that stands twice is the one thing that is stricter here.
        const twice = Result.isFailure(result) && result.failure.detail.includes("stands twice")
        assert.strictEqual(Result.isSuccess(result), accepts(text) && !twice, text)
      }),
      { numRuns: 2_000 }
    )
  })
})
