// OpenAI's protocol alone: frames and bodies that vendors really send.
import { assert, describe, it } from "@effect/vitest"
import * as OpenAiProtocol from "../../../../src/layers/provider/openai-protocol.ts"
import type { CompletionEvent } from "../../../../src/services/provider.ts"
import { openRequest } from "../../../support/upstream-call.ts"

const same = (text: string) => text
const step = (data: string, event?: string) => {
  const out: Array<CompletionEvent> = []
  const verdict = OpenAiProtocol.make().decodeStream(openRequest(), same, 0).step({ data, event }, out)
  return { verdict: typeof verdict === "object" ? verdict._tag : verdict, events: out.length }
}

describe("openai protocol", () => {
  it.each([
    ["Azure's first frame", '{"choices":[],"prompt_filter_results":[{}]}', undefined, 1],
    ["a null error beside choices", '{"choices":[{"index":0,"delta":{}}],"error":null}', undefined, 1],
    ["the end", "[DONE]", "done", 0],
    ["vLLM's error", '{"object":"error","message":"boom","code":500}', "StreamError", 0],
    ["an error as text", '{"error":"boom"}', "StreamError", 0],
    ["an error without a message", '{"error":{}}', "StreamError", 0],
    ["a request refused late", '{"error":{"type":"invalid_request_error","message":"no"}}', "BadRequest", 0],
    ["null", "null", "BrokenFrame", 0],
    ["an empty frame", "", "BrokenFrame", 0]
  ])("takes %s", (_name, data, verdict, events) => {
    assert.deepStrictEqual(step(data), { verdict, events })
  })

  it("takes any frame named error for one", () => {
    assert.strictEqual(step('{"choices":[]}', "error").verdict, "StreamError")
    assert.strictEqual(step("not json", "error").verdict, "StreamError")
  })

  it("repeats nothing of an answer that is not JSON", () => {
    const reason = OpenAiProtocol.make().decodeWhole(
      "key KEY",
      new Uint8Array(),
      (text) => text.replaceAll("KEY", "*"),
      0
    )
    assert.deepInclude(reason, { _tag: "BadResponse", detail: "the answer is not JSON" })
  })
})
