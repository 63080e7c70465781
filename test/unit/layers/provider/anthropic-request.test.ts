// Chat requests become Messages requests.
import { assert, describe, it } from "@effect/vitest"
import type { ChatRequest } from "../../../../src/domain/chat.ts"
import { fromChat } from "../../../../src/layers/provider/anthropic-request.ts"

const user = { role: "user", content: "hi" } as const
const of = (chat: Partial<ChatRequest>) =>
  fromChat({ model: "alias", messages: [user], ...chat }, "claude", 4_096) as Record<string, unknown>
const messagesOf = (messages: ChatRequest["messages"]) => of({ messages })["messages"]
const text = (value: string) => ({ type: "text", text: value })

const call = (id: string, args: string) => ({ id, type: "function", function: { name: "f", arguments: args } })

describe("anthropic request", () => {
  it("has the smallest body for the smallest request", () => {
    assert.deepStrictEqual(of({}), {
      model: "claude",
      max_tokens: 4_096,
      messages: [{ role: "user", content: [text("hi")] }]
    })
  })

  it("lifts system and developer messages wherever they stand", () => {
    const body = of({
      messages: [
        { role: "system", content: "a" },
        user,
        { role: "developer", content: [{ type: "text", text: "b", cache_control: { type: "ephemeral" } }] },
        user
      ]
    })
    assert.deepStrictEqual(body["system"], [text("a"), { ...text("b"), cache_control: { type: "ephemeral" } }])
    assert.deepStrictEqual(body["messages"], [{ role: "user", content: [text("hi"), text("hi")] }])
  })

  it("translates tool calls and their results, merging what belongs to one turn", () => {
    assert.deepStrictEqual(
      messagesOf([
        user,
        { role: "assistant", content: null, tool_calls: [call("1", '{"a":1}'), call("2", "")] },
        { role: "tool", tool_call_id: "1", content: "one" },
        { role: "tool", tool_call_id: "2", content: [{ type: "text", text: "two" }] },
        { role: "user", content: "and?" }
      ]),
      [
        { role: "user", content: [text("hi")] },
        {
          role: "assistant",
          content: [
            { type: "tool_use", id: "1", name: "f", input: { a: 1 } },
            { type: "tool_use", id: "2", name: "f", input: {} }
          ]
        },
        {
          role: "user",
          content: [
            { type: "tool_result", tool_use_id: "1", content: [text("one")] },
            { type: "tool_result", tool_use_id: "2", content: [text("two")] },
            text("and?")
          ]
        }
      ]
    )
  })

  it("translates images and files, and leaves empty texts out", () => {
    assert.deepStrictEqual(
      messagesOf([
        {
          role: "user",
          content: [
            { type: "text", text: "" },
            { type: "image_url", image_url: { url: "data:image/png;base64,QUJD" } },
            { type: "image_url", image_url: { url: "https://h/a.png", detail: "low" } },
            { type: "file", file: { file_data: "data:application/pdf;base64,UERG" } },
            { type: "document", source: { type: "text", data: "x" } }
          ]
        },
        { role: "assistant", content: "" }
      ]),
      [
        {
          role: "user",
          content: [
            { type: "image", source: { type: "base64", media_type: "image/png", data: "QUJD" } },
            { type: "image", source: { type: "url", url: "https://h/a.png" } },
            { type: "document", source: { type: "base64", media_type: "application/pdf", data: "UERG" } },
            { type: "document", source: { type: "text", data: "x" } }
          ]
        }
      ]
    )
  })

  it("translates tools and every tool choice", () => {
    const tools = [
      { type: "function", function: { name: "f", description: "d", parameters: { type: "object" } } },
      { type: "function", function: { name: "g" } },
      { type: "web_search_20250305", name: "web_search" }
    ]
    assert.deepStrictEqual(of({ tools })["tools"], [
      { name: "f", description: "d", input_schema: { type: "object" } },
      { name: "g", input_schema: { type: "object", properties: {} } },
      { type: "web_search_20250305", name: "web_search" }
    ])
    const choice = (tool_choice: unknown, more: object = {}) => of({ tools, tool_choice, ...more })["tool_choice"]
    assert.isUndefined(choice(undefined))
    assert.deepStrictEqual(choice("auto"), { type: "auto" })
    assert.deepStrictEqual(choice("required"), { type: "any" })
    assert.deepStrictEqual(choice("none"), { type: "none" })
    assert.deepStrictEqual(choice({ type: "function", function: { name: "f" } }), { type: "tool", name: "f" })
    assert.deepStrictEqual(choice(undefined, { parallel_tool_calls: false }), {
      type: "auto",
      disable_parallel_tool_use: true
    })
    assert.isUndefined(of({ tool_choice: "required" })["tool_choice"])
  })

  it("translates limits and sampling", () => {
    const body = of({
      max_tokens: 5,
      max_completion_tokens: 6,
      stop: "x",
      temperature: 1.7,
      top_p: 0.5,
      top_k: 3,
      user: "u",
      stream: true,
      seed: 1
    })
    assert.deepInclude(body, {
      max_tokens: 6,
      stop_sequences: ["x"],
      temperature: 1,
      top_p: 0.5,
      top_k: 3,
      metadata: { user_id: "u" },
      stream: true
    })
    assert.notProperty(body, "seed")
    assert.deepStrictEqual(of({ stop: ["a", "b"] })["stop_sequences"], ["a", "b"])
    assert.deepStrictEqual(
      of({ response_format: { type: "json_schema", json_schema: { name: "n", schema: { type: "object" } } } })[
        "output_config"
      ],
      { format: { type: "json_schema", schema: { type: "object" } } }
    )
  })

  it("refuses what would change the answer, naming the place", () => {
    assert.deepInclude(of({ n: 2 }), { _tag: "BadRequest", param: "n" })
    assert.deepInclude(of({ messages: [user, { role: "user", content: [{ type: "input_audio" }] }] }), {
      _tag: "BadRequest",
      param: "messages[1].content[0]"
    })
    assert.deepInclude(of({ messages: [{ role: "function", content: "x" }] }), { _tag: "BadRequest" })
    const broken = { id: "1", type: "function", function: { name: "f", arguments: "{oops" } }
    assert.deepInclude(of({ messages: [user, { role: "assistant", tool_calls: [broken] }] }), {
      _tag: "BadRequest"
    })
  })
})
