import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import * as Random from "../../../../../src/layers/provider/sim/random.ts"
import * as Text from "../../../../../src/layers/provider/sim/text.ts"
import { chat } from "./drive.ts"

const random = () => Random.make(1, 1)

const write = (seed: number) => {
  const next = Text.prose(Random.make(seed, 0))
  return Array.from({ length: 200 }, next).join("")
}
const wish = (rest: Parameters<typeof chat>[0]) => Text.wishOf(chat(rest), random)

describe("text", () => {
  it("prose is words with leading spaces, in sentences, the same for the same seed", () => {
    assert.strictEqual(write(1), write(1))
    assert.notStrictEqual(write(1), write(2))
    assert.match(write(1), /^([A-Z][a-z]*( [a-z]+)*\. )+/)
  })

  it("pieces put together are the text, and no piece is half a character", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), (text) => {
        const parts = Text.pieces(text)
        assert.strictEqual(parts.join(""), text)
        assert(parts.every((part) => part.isWellFormed()))
      })
    )
  })

  it("the prompt's hash and size depend on its text alone", () => {
    const one = Text.promptOf(chat({ messages: [{ role: "user", content: "twelve chars" }] }))
    const parts = Text.promptOf(
      chat({
        messages: [
          {
            role: "user",
            content: [{ type: "text", text: "twelve " }, { type: "image_url" }, { type: "text", text: "chars" }]
          }
        ]
      })
    )
    assert.deepStrictEqual(parts, one)
    assert.strictEqual(one.tokens, 3)
    assert.notStrictEqual(Text.promptOf(chat()).hash, one.hash)
    assert.strictEqual(Text.promptOf(chat({ messages: [{ role: "user" }] })).tokens, 1)
  })

  it("examples satisfy simple schemas", () => {
    const schema = {
      type: "object",
      properties: {
        name: { type: "string" },
        size: { type: "integer", minimum: 5 },
        kind: { enum: ["a", "b"] },
        flag: { type: "boolean" },
        list: { type: "array", items: { $ref: "#/$defs/item" }, minItems: 2 },
        maybe: { anyOf: [{ type: "null" }, { type: "string" }] },
        extra: { type: "string" }
      },
      required: ["name", "size", "kind", "flag", "list", "maybe"],
      $defs: { item: { type: "object", properties: { id: { const: 7 } } } }
    }
    const value = JSON.parse(JSON.stringify(Text.exampleOf(schema, random())))
    assert.deepStrictEqual(Object.keys(value), ["name", "size", "kind", "flag", "list", "maybe"])
    assert.strictEqual(typeof value.name, "string")
    assert.deepInclude(value, { size: 5, kind: "a", list: [{ id: 7 }, { id: 7 }], maybe: null })
  })

  it("a schema that refers to itself ends", () => {
    const schema = { $ref: "#" }
    assert.strictEqual(Text.exampleOf(schema, random()), null)
    const tree = { type: "object", properties: { child: { $ref: "#" } } }
    assert(JSON.stringify(Text.exampleOf(tree, random())).length < 500)
  })

  it("a request gets what it wishes", () => {
    const tools = [{ type: "function", function: { name: "f" } }]
    assert.strictEqual(wish({})._tag, "Prose")
    assert.strictEqual(wish({ tools })._tag, "Prose")
    assert.deepStrictEqual(wish({ tools, tool_choice: "required" }), { _tag: "ToolCall", name: "f", arguments: "{}" })
    assert.strictEqual(wish({ tools, tool_choice: { type: "function", function: { name: "g" } } })._tag, "Prose")
    const json = wish({ response_format: { type: "json_object" } })
    assert(json._tag === "Text" && typeof JSON.parse(json.text).answer === "string")
    const typed = wish({
      response_format: { type: "json_schema", json_schema: { schema: { type: "array", items: { const: 1 } } } }
    })
    assert(typed._tag === "Text")
    assert.deepStrictEqual(JSON.parse(typed.text), [1])
  })
})
