// Reading foreign JSON without exceptions.
import { assert, describe, it } from "@effect/vitest"
import { countOf, isObject, listOf, parse, stringOf } from "../../../../src/layers/provider/json.ts"

describe("json", () => {
  it("gives undefined for what is not JSON", () => {
    assert.deepStrictEqual(parse('{"a":1}'), { a: 1 })
    assert.isUndefined(parse("{"))
    assert.isNull(parse("null"))
  })

  it("narrows", () => {
    assert.deepStrictEqual([{}, [], null, 1].map(isObject), [true, false, false, false])
    assert.deepStrictEqual([stringOf("a"), stringOf(1)], ["a", undefined])
    assert.deepStrictEqual([countOf(3), countOf(-1), countOf("3")], [3, 0, 0])
    assert.deepStrictEqual([listOf([1]), listOf("x")], [[1], []])
  })
})
