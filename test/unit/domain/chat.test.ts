import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { ChatCompletion, ChatRequest, isChatChunk, maxOutputTokens } from "../../../src/domain/chat.ts"

const messages = [{ role: "user", content: "hi" }]
const request: ChatRequest = { model: "m", messages: [{ role: "user", content: "hi" }] }

describe("ChatRequest", () => {
  const is = Schema.is(ChatRequest)
  const decode = Schema.decodeUnknownSync(ChatRequest)

  it("keeps every field it does not know, at any depth", () => {
    const value = {
      model: "m",
      messages: [
        {
          role: "user",
          name: "ada",
          content: [
            { type: "image_url", image_url: { url: "data:," } },
            { type: "x", y: 1 }
          ]
        },
        { role: "assistant", tool_calls: [{ id: "1" }], content: null },
        { role: "tool", tool_call_id: "1", content: "" }
      ],
      tools: [
        { type: "function", function: { name: "f" } },
        { type: "vendor_tool", deep: [{}] }
      ],
      tool_choice: "auto",
      response_format: { type: "json_object" },
      vendor: { nested: null }
    }
    assert.deepStrictEqual<unknown>(decode(value), value)
  })

  it("takes null for each optional field, as clients send it", () => {
    const optional = ["stream", "stream_options", "max_tokens", "max_completion_tokens", "temperature", "top_p"]
    for (const field of [...optional, "n", "stop", "user", "tools"]) {
      assert.isTrue(is({ model: "m", messages, [field]: null }), field)
    }
  })

  it("knows the bounds of the fields it reads", () => {
    const right = [{ temperature: 0 }, { temperature: 2 }, { n: 128 }, { stop: ["a"] }, { top_p: 1 }, { max_tokens: 1 }]
    for (const fields of right) assert.isTrue(is({ model: "m", messages, ...fields }), JSON.stringify(fields))
    for (const fields of [
      { temperature: 2.1 },
      { temperature: -0.1 },
      { top_p: 1.1 },
      { n: 0 },
      { n: 129 },
      { n: 1.5 },
      { max_tokens: 0 },
      { max_completion_tokens: -1 },
      { stop: [1] },
      { stream: "true" },
      { messages: [] },
      { messages: [{ content: "x" }] },
      { messages: [{ role: "pirate" }] },
      { messages: [{ role: "user", content: 1 }] },
      { tools: [{}] },
      { model: "" }
    ]) {
      assert.isFalse(is({ model: "m", messages, ...fields }), JSON.stringify(fields))
    }
  })
})

describe("maxOutputTokens", () => {
  it("prefers the newer field, and takes null for none", () => {
    assert.isUndefined(maxOutputTokens(request))
    assert.isUndefined(maxOutputTokens({ ...request, max_tokens: null, max_completion_tokens: null }))
    assert.strictEqual(maxOutputTokens({ ...request, max_tokens: 5 }), 5)
    assert.strictEqual(maxOutputTokens({ ...request, max_tokens: 5, max_completion_tokens: 7 }), 7)
    assert.strictEqual(maxOutputTokens({ ...request, max_tokens: 5, max_completion_tokens: null }), 5)
  })
})

describe("isChatChunk", () => {
  it("wants a list of choices, empty or not", () => {
    for (const yes of [{ choices: [] }, { choices: [{ index: 0, delta: {} }], vendor: 1 }])
      assert.isTrue(isChatChunk(yes))
    for (const no of [null, undefined, 1, "choices", [], {}, { choices: null }, { choices: {} }]) {
      assert.isFalse(isChatChunk(no), JSON.stringify(no))
    }
  })
})

describe("ChatCompletion", () => {
  it("needs no usage and no finish reason", () => {
    const is = Schema.is(ChatCompletion)
    const value = { id: "1", object: "chat.completion", created: 1, model: "m" }
    assert.isTrue(is({ ...value, choices: [{ index: 0, message: { role: "assistant", content: null } }], usage: null }))
    assert.isFalse(is({ ...value, choices: [{ index: 0 }] }))
  })
})
