import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { EmbeddingRequest, EmbeddingResponse, maxInputs } from "../../../src/domain/embedding.ts"

describe("EmbeddingRequest", () => {
  const is = Schema.is(EmbeddingRequest)
  const of = (rest: object) => is({ model: "e", input: "x", ...rest })

  it("takes text, texts, tokens and lists of tokens, and keeps other fields", () => {
    for (const input of ["x", ["x", "y"], [1, 2], [[1], [2, 3]], Array(maxInputs).fill("x")])
      assert.isTrue(of({ input }))
    assert.isTrue(of({ dimensions: 3, encoding_format: "base64", user: null, vendor: [1] }))
  })

  it("refuses empty, mixed and overlong inputs", () => {
    for (const input of ["", [], [""], ["x", 1], [1.5], [-1], [[]], {}, null, Array(maxInputs + 1).fill("x")]) {
      assert.isFalse(of({ input }), JSON.stringify(input)?.slice(0, 40))
    }
    for (const wrong of [{ dimensions: 0 }, { encoding_format: "hex" }, { model: "" }]) assert.isFalse(of(wrong))
  })
})

const responseOf = (embedding: unknown) => ({
  object: "list",
  model: "e",
  data: [{ object: "embedding", index: 0, embedding }],
  usage: { prompt_tokens: 1, total_tokens: 1 }
})

describe("EmbeddingResponse", () => {
  it("has vectors as numbers or base64", () => {
    const is = Schema.is(EmbeddingResponse)
    assert.isTrue(is(responseOf([0.5, -1])))
    assert.isTrue(is(responseOf("AAAAPw==")))
    assert.isFalse(is(responseOf([Number.NaN])))
  })
})
