import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import type { ChatChunk, ChatCompletion, ChatDelta } from "../../../src/domain/chat.ts"
import * as Collect from "../../../src/domain/collect.ts"
import { ProviderError } from "../../../src/domain/errors.ts"
import * as Partial from "../../../src/domain/partial.ts"
import * as Usage from "../../../src/domain/usage.ts"

const head = { id: "c1", object: "chat.completion.chunk" as const, created: 7, model: "m" }
const chunk = (delta: ChatDelta, finish_reason: string | null = null, index = 0): ChatChunk => ({
  ...head,
  choices: [{ index, delta, finish_reason }]
})
const call = (index: number, args: string): ChatDelta => ({
  tool_calls: [{ index, id: `call_${index}`, type: "function", function: { name: "f", arguments: args } }]
})

const error = new ProviderError({ provider: "p", reason: { _tag: "Truncated", detail: "cut" } })
const banner = Partial.bannerOf(error, "req_1", {})

const endingOf = (chunks: ReadonlyArray<ChatChunk>, usage?: Usage.Usage) => {
  const watch = new Partial.Watch()
  for (const each of chunks) watch.see(each)
  return watch.ending(banner, usage)
}

const collected = (chunks: ReadonlyArray<ChatChunk>): ChatCompletion => {
  const collector = Collect.make()
  for (const each of chunks) collector.add(each)
  return collector.result() ?? assert.fail("no chunks")
}

describe("bannerOf", () => {
  it("says why, by which id, and what the operator adds", () => {
    assert.deepStrictEqual(Partial.bannerOf(error, "req_1", { message: "We are on it.", link: "https://status" }), {
      partial: true,
      reason: "ProviderError.Truncated",
      message: `The answer broke off. ${error.message}`,
      request_id: "req_1",
      help: "We are on it.",
      help_url: "https://status"
    })
    assert.notProperty(banner, "help")
  })
})

describe("the ending of a stream", () => {
  it("finishes what was said with `length`, and carries the banner", () => {
    assert.deepStrictEqual(endingOf([chunk({ role: "assistant", content: "" }), chunk({ content: "Hal" })]), [
      { ...head, choices: [{ index: 0, delta: {}, finish_reason: "length" }], ballast: banner }
    ])
  })

  it("adds the usage where the provider has not reported it", () => {
    const usage = Usage.make(3, 4)
    assert.deepStrictEqual(endingOf([chunk({ content: "Hal" })], usage)?.[1], { ...head, choices: [], usage })
  })

  it("leaves the finish reasons that came alone", () => {
    const [end] = endingOf([chunk({ content: "a" }, "stop", 0), chunk({ content: "b" }, null, 1)]) ?? []
    assert.deepStrictEqual(end?.choices, [{ index: 1, delta: {}, finish_reason: "length" }])
    assert.deepStrictEqual(endingOf([chunk({ content: "a" }, "stop")])?.[0].choices, [])
  })

  it("is none where nothing of use was said", () => {
    assert.isUndefined(endingOf([]))
    assert.isUndefined(endingOf([chunk({ role: "assistant" }), chunk({ content: "" }), chunk({ content: null })]))
    assert.isUndefined(endingOf([chunk({ reasoning_content: "hm" })]))
  })

  it("is none in the middle of a tool call: what was shown of it cannot be taken back", () => {
    assert.isUndefined(endingOf([chunk({ content: "I look it up." }), chunk(call(0, '{"x"'))]))
    assert.isUndefined(endingOf([chunk({ content: "x" }), chunk({ function_call: { name: "f", arguments: "{" } })]))
    assert.isDefined(endingOf([chunk(call(0, '{"x":1}')), chunk({}, "tool_calls")]))
    // Vendors that say in every chunk that there is no tool call.
    assert.isDefined(endingOf([chunk({ content: "x", tool_calls: [], function_call: null })]))
  })
})

describe("lengthMet", () => {
  it("is whether any choice was ended by its length", () => {
    const met = (chunks: ReadonlyArray<ChatChunk>) => {
      const watch = new Partial.Watch()
      for (const each of chunks) watch.see(each)
      return watch.lengthMet
    }
    assert.isFalse(met([chunk({ content: "a" }, "stop")]))
    assert.isTrue(met([chunk({ content: "a" }, "length"), chunk({ content: "b" }, "stop", 1)]))
  })
})

describe("ofCollected", () => {
  it("finishes the unfinished choices and adds the banner", () => {
    const whole = collected([chunk({ content: "a" }, "stop", 0), chunk({ content: "b" }, null, 1)])
    const part = Partial.ofCollected(whole, banner)
    assert.deepStrictEqual(
      part?.choices.map(({ finish_reason, message }) => [message["content"], finish_reason]),
      [
        ["a", "stop"],
        ["b", "length"]
      ]
    )
    assert.deepStrictEqual(part?.["ballast"], banner)
    assert.strictEqual(part?.id, "c1")
  })

  it("keeps whole tool calls and leaves out broken ones", () => {
    const part = Partial.ofCollected(collected([chunk(call(0, '{"x":1}')), chunk(call(1, '{"y":'))]), banner)
    const calls = part?.choices[0]?.message["tool_calls"]
    assert.deepStrictEqual(calls, [{ id: "call_0", type: "function", function: { name: "f", arguments: '{"x":1}' } }])
  })

  it("is none where only broken calls or no words came", () => {
    assert.isUndefined(Partial.ofCollected(collected([chunk(call(0, '{"y":'))]), banner))
    assert.isUndefined(Partial.ofCollected(collected([chunk(call(0, "12"))]), banner))
    assert.isUndefined(Partial.ofCollected(collected([chunk({ role: "assistant", content: "" })]), banner))
    const old = chunk({ function_call: { name: "f", arguments: '{"x"' } })
    assert.isUndefined(Partial.ofCollected(collected([old]), banner))
    assert.notProperty(
      Partial.ofCollected(collected([chunk({ content: "a" }), old]), banner)?.choices[0]?.message,
      "function_call"
    )
  })

  it("never shows arguments that do not parse, wherever the stream breaks", () => {
    const args = '{"city":"Kiel","days":[1,2],"note":"\\"wind\\""}'
    fc.assert(
      fc.property(fc.integer({ min: 0, max: args.length }), fc.boolean(), (at, talks) => {
        const chunks = [...(talks ? [chunk({ content: "Wait." })] : []), chunk(call(0, args.slice(0, at)))]
        const part = Partial.ofCollected(collected(chunks), banner)
        assert.strictEqual(part !== undefined, talks || at === args.length)
        assert.strictEqual(part?.choices[0]?.message["tool_calls"] !== undefined, at === args.length)
      })
    )
  })
})
