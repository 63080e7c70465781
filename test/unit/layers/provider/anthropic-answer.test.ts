// Messages become completions.
import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { ChatCompletion } from "../../../../src/domain/chat.ts"
import { completionOf, finishReasonOf, usageOf } from "../../../../src/layers/provider/anthropic-answer.ts"

describe("anthropic answer", () => {
  it("translates text, thinking and tool calls into a valid completion", () => {
    const completion = completionOf(
      {
        id: "msg_1",
        model: "claude",
        stop_reason: "tool_use",
        content: [
          { type: "thinking", thinking: "hm" },
          { type: "text", text: "a" },
          { type: "text", text: "b" },
          { type: "tool_use", id: "t", name: "f", input: { x: 1 } }
        ],
        usage: { input_tokens: 1, output_tokens: 2 }
      },
      7
    )
    assert.isTrue(Schema.is(ChatCompletion)(completion))
    assert.deepStrictEqual(completion?.choices[0], {
      index: 0,
      message: {
        role: "assistant",
        content: "ab",
        reasoning_content: "hm",
        tool_calls: [{ id: "t", type: "function", function: { name: "f", arguments: '{"x":1}' } }]
      },
      finish_reason: "tool_calls"
    })
  })

  it("counts cached tokens as prompt tokens, and lets later counts win", () => {
    assert.deepStrictEqual(
      usageOf(
        { input_tokens: 10, cache_read_input_tokens: 100, cache_creation_input_tokens: 5, output_tokens: 1 },
        { output_tokens: 7 }
      ),
      {
        prompt_tokens: 115,
        completion_tokens: 7,
        total_tokens: 122,
        prompt_tokens_details: { cached_tokens: 100, cache_creation_tokens: 5 }
      }
    )
    assert.strictEqual(usageOf(undefined).total_tokens, 0)
  })

  it("knows every stop reason", () => {
    const reasons = [
      "end_turn",
      "stop_sequence",
      "pause_turn",
      "max_tokens",
      "model_context_window_exceeded",
      "tool_use",
      "refusal",
      "new"
    ]
    assert.deepStrictEqual(reasons.map(finishReasonOf), [
      "stop",
      "stop",
      "stop",
      "length",
      "length",
      "tool_calls",
      "content_filter",
      "new"
    ])
  })

  it("is undefined for what is not a message", () => {
    for (const value of [undefined, null, [], { content: "text" }, {}]) assert.isUndefined(completionOf(value, 1))
  })
})
