import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import type { ChatChunk, ChatCompletion, ChunkChoice, ToolCallDelta } from "../../../src/domain/chat.ts"
import * as Collect from "../../../src/domain/collect.ts"
import * as Usage from "../../../src/domain/usage.ts"

const head = { id: "c1", object: "chat.completion.chunk" as const, created: 1, model: "m" }
const chunk = (choices: ReadonlyArray<ChunkChoice>, rest: object = {}): ChatChunk => ({ ...head, ...rest, choices })
const delta = (fields: ChunkChoice["delta"], rest: object = {}): ChatChunk =>
  chunk([{ index: 0, delta: fields, ...rest }])

const collect = (...chunks: ReadonlyArray<ChatChunk>): ChatCompletion => {
  const collector = Collect.make()
  for (const each of chunks) collector.add(each)
  const result = collector.result()
  assert(result !== undefined)
  return result
}

const piece = (index: number, content: string) => chunk([{ index, delta: { content } }])

const call = (index: number, rest: Partial<ToolCallDelta>) => delta({ tool_calls: [{ index, ...rest }] })

// Against the type, as the wire knows no types.
const callWithoutIndex = (rest: Partial<ToolCallDelta>) => delta({ tool_calls: [rest as ToolCallDelta] })

describe("a collector", () => {
  it("has nothing before the first chunk", () => assert.isUndefined(Collect.make().result()))

  it("joins text, keeps the finish reason and the usage", () => {
    assert.deepStrictEqual<unknown>(
      collect(
        delta({ role: "assistant", content: "" }),
        delta({ content: "Hel" }),
        delta({ content: "lo" }),
        delta({}, { finish_reason: "stop" }),
        chunk([], { usage: Usage.make(1, 2) })
      ),
      {
        id: "c1",
        object: "chat.completion",
        created: 1,
        model: "m",
        choices: [
          {
            index: 0,
            message: { role: "assistant", content: "Hello", refusal: null },
            logprobs: null,
            finish_reason: "stop"
          }
        ],
        usage: Usage.make(1, 2)
      }
    )
  })

  it("says null where there was no text, and where the end never came", () => {
    const [choice] = collect(delta({ refusal: "No" }), delta({ refusal: "pe", content: null })).choices
    assert.deepStrictEqual<unknown>(choice?.message, { role: "assistant", content: null, refusal: "Nope" })
    assert.isNull(choice?.finish_reason)
  })

  it("keeps choices apart and in their order, however they are numbered", () => {
    // A list would have to be walked through to its last index.
    const { choices } = collect(piece(2 ** 31, "d"), piece(1, "b"), piece(0, "a"), piece(1, "B"))
    assert.deepStrictEqual(
      choices.map(({ index, message }) => [index, message["content"]]),
      [
        [0, "a"],
        [1, "bB"],
        [2 ** 31, "d"]
      ]
    )
  })

  it("builds tool calls from their pieces", () => {
    const { choices } = collect(
      call(0, { id: "a", type: "function", function: { name: "look", arguments: "" } }),
      call(0, { function: { arguments: '{"at":' } }),
      call(1, { id: "b", type: "function", function: { name: "hear", arguments: "{}" } }),
      // Some vendors repeat what is known, or send it empty.
      call(0, { id: "a", function: { name: "look", arguments: '"x"}' } }),
      call(1, { id: "", function: { name: "", arguments: "" } })
    )
    assert.deepStrictEqual<unknown>(choices[0]?.message["tool_calls"], [
      { id: "a", type: "function", function: { name: "look", arguments: '{"at":"x"}' } },
      { id: "b", type: "function", function: { name: "hear", arguments: "{}" } }
    ])
  })

  it("takes tool calls without an index: an id begins a new one", () => {
    const { choices } = collect(
      callWithoutIndex({ id: "a", function: { name: "f", arguments: "{" } }),
      callWithoutIndex({ function: { arguments: "}" } }),
      callWithoutIndex({ id: "b", function: { name: "g", arguments: "{}" } })
    )
    assert.deepStrictEqual<unknown>(choices[0]?.message["tool_calls"], [
      { id: "a", type: "function", function: { name: "f", arguments: "{}" } },
      { id: "b", type: "function", function: { name: "g", arguments: "{}" } }
    ])
  })

  it("keeps what it does not know: reasoning, log probabilities, fingerprints, older function calls", () => {
    const result = collect(
      chunk(
        [
          {
            index: 0,
            delta: { reasoning_content: "hm", function_call: { name: "f", arguments: "{" } },
            logprobs: { content: [{ token: "a" }] }
          }
        ],
        { system_fingerprint: "fp", service_tier: null, obfuscation: "xyz" }
      ),
      chunk(
        [
          {
            index: 0,
            delta: { reasoning_content: "mm", function_call: { arguments: "}" }, citations: ["x"] },
            logprobs: { content: [{ token: "b" }] }
          }
        ],
        { system_fingerprint: null, service_tier: "flex" }
      )
    )
    assert.deepInclude<unknown>(result.choices[0]?.message, {
      reasoning_content: "hmmm",
      function_call: { name: "f", arguments: "{}" },
      citations: ["x"]
    })
    assert.deepStrictEqual(result.choices[0]?.["logprobs"], { content: [{ token: "a" }, { token: "b" }] })
    assert.deepInclude<unknown>(result, { system_fingerprint: "fp", service_tier: "flex" })
    assert.notProperty(result, "obfuscation")
  })

  it("does not change the chunks it is given", () => {
    const chunks = [delta({ function_call: { arguments: "a" } }), delta({ function_call: { arguments: "b" } })]
    const before = structuredClone(chunks)
    collect(...chunks)
    assert.deepStrictEqual(chunks, before)
  })

  it("is not led to change what all objects share", () => {
    const hostile: ChatChunk = JSON.parse(
      `{"choices":[{"index":0,"delta":{"__proto__":{"stolen":1},"constructor":{"prototype":{"stolen":1}}}}],"__proto__":{"stolen":1}}`
    )
    const result = collect(hostile, hostile)
    assert.notProperty({}, "stolen")
    assert.notProperty(result, "stolen")
    assert.notProperty(result.choices[0]?.message, "stolen")
  })

  it("gives the same text wherever a stream is cut into chunks", () => {
    fc.assert(
      fc.property(fc.string(), fc.array(fc.nat(30)), (text, cuts) => {
        const at = [0, ...cuts.toSorted((a, b) => a - b), text.length]
        const pieces = at.slice(1).map((end, i) => delta({ content: text.slice(at[i], end) }))
        assert.strictEqual(collect(...pieces).choices[0]?.message["content"], text.slice(0, at.at(-1)))
      })
    )
  })
})

describe("toChunks", () => {
  const completion: ChatCompletion = {
    id: "c1",
    object: "chat.completion",
    created: 1,
    model: "m",
    system_fingerprint: "fp",
    choices: [
      {
        index: 0,
        message: { role: "assistant", content: "Hello", refusal: null, reasoning_content: "hm" },
        logprobs: { content: [{ token: "Hello" }] },
        finish_reason: "stop"
      },
      {
        index: 1,
        message: {
          role: "assistant",
          content: null,
          refusal: null,
          tool_calls: [{ id: "a", type: "function", function: { name: "f", arguments: "{}" } }]
        },
        logprobs: null,
        finish_reason: "tool_calls"
      }
    ],
    usage: Usage.make(1, 2)
  }

  it("tells a completion so that it can be collected again", () => {
    assert.deepStrictEqual(collect(...Collect.toChunks(completion)), completion)
  })

  it("ends with a finish reason for each choice, then the usage without choices", () => {
    const [first, second, third, ...more] = Collect.toChunks(completion)
    assert.isTrue(first?.choices.every(({ finish_reason }) => finish_reason === null))
    assert.deepStrictEqual(
      second?.choices.map(({ finish_reason }) => finish_reason),
      ["stop", "tool_calls"]
    )
    assert.deepStrictEqual([third?.choices, third?.usage, more], [[], Usage.make(1, 2), []])
    assert.isUndefined(first?.usage)
  })

  it("says stop where the completion gave no reason, and has no usage where there was none", () => {
    const { usage: _, ...without } = completion
    const chunks = Collect.toChunks({ ...without, choices: [{ index: 0, message: { role: "assistant" } }] })
    assert.strictEqual(chunks.length, 2)
    assert.strictEqual(chunks[1]?.choices[0]?.finish_reason, "stop")
  })
})
