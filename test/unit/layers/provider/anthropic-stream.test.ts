// Anthropic's events alone, in orders and shapes that should not harm.
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { isChatChunk } from "../../../../src/domain/chat.ts"
import * as AnthropicStream from "../../../../src/layers/provider/anthropic-stream.ts"
import type { CompletionEvent } from "../../../../src/services/provider.ts"

const make = (withUsage = false) => AnthropicStream.make({ withUsage, created: 1, redact: (text) => text })

describe("anthropic stream", () => {
  it("survives any JSON, and makes nothing but chunks of it", () => {
    const types = fc.constantFrom(
      "message_start",
      "content_block_start",
      "content_block_delta",
      "content_block_stop",
      "message_delta",
      "message_stop",
      "ping",
      "error",
      "new"
    )
    const event = fc.record({
      type: types,
      message: fc.jsonValue(),
      content_block: fc.jsonValue(),
      delta: fc.jsonValue(),
      index: fc.jsonValue(),
      usage: fc.jsonValue(),
      error: fc.jsonValue()
    })
    fc.assert(
      fc.property(fc.array(event, { maxLength: 8 }), (events) => {
        const decoder = make(true)
        const out: Array<CompletionEvent> = []
        for (const value of events) if (decoder.step({ data: JSON.stringify(value) }, out) !== undefined) break
        for (const e of out) assert.isTrue(isChatChunk(JSON.parse(e.data)))
        assert.isFalse(decoder.mayEnd())
      })
    )
  })

  it("ignores the input of tools that the vendor runs itself", () => {
    const decoder = make()
    const out: Array<CompletionEvent> = []
    for (const value of [
      {
        type: "content_block_start",
        index: 0,
        content_block: { type: "server_tool_use", id: "s", name: "web_search" }
      },
      { type: "content_block_delta", index: 0, delta: { type: "input_json_delta", partial_json: "{}" } }
    ]) {
      assert.isUndefined(decoder.step({ data: JSON.stringify(value) }, out))
    }
    assert.strictEqual(out.length, 0)
  })

  it("gives text that comes with the start of its block", () => {
    const out: Array<CompletionEvent> = []
    const data = JSON.stringify({ type: "content_block_start", index: 0, content_block: { type: "text", text: "x" } })
    make().step({ data }, out)
    assert.deepInclude(JSON.parse(out[0]?.data ?? "{}").choices[0].delta, { role: "assistant", content: "x" })
  })

  it("breaks on what is not an event", () => {
    for (const data of ["{", "[]", "null", '"x"']) {
      assert.deepInclude(make().step({ data }, []) as object, { _tag: "BrokenFrame" })
    }
  })
})
