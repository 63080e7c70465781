import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import * as fc from "fast-check"
import { RequestError } from "../../../../src/domain/errors.ts"
import * as Decode from "../../../../src/programs/server/decode.ts"

const messages = [{ role: "user", content: "hi" }]

type Decoder = (body: Result.Result<string, RequestError>) => Result.Result<unknown, RequestError>

/** Why a body is refused; `undefined` where it is not. */
const refusal = (decode: Decoder, body: string) => {
  const result = decode(Result.succeed(body))
  return Result.isFailure(result) ? result.failure : undefined
}

const chatParam = (value: unknown) => {
  const reason = refusal(Decode.chatRequest, JSON.stringify(value))?.reason
  return reason?._tag === "InvalidField" ? reason.param : undefined
}

describe("chatRequest", () => {
  it("gives back the parsed JSON itself, with all it holds", () => {
    const value = { model: "m", messages, vendor: { deep: [1, { x: null }] }, tools: [{ type: "x", y: 1 }] }
    assert.deepStrictEqual<unknown>(Result.getOrThrow(Decode.chatRequest(Result.succeed(JSON.stringify(value)))), value)
  })

  it.each([
    [{ messages }, "model"],
    [{ model: "m" }, "messages"],
    [{ model: "m", messages: [] }, "messages"],
    [{ model: "m", messages: ["x"] }, "messages[0]"],
    [{ model: "m", messages: [...messages, { role: "pirate" }] }, "messages[1].role"],
    [
      { model: "m", messages: [{ role: "user", content: [{ type: "text" }, { text: "x" }] }] },
      "messages[0].content[1].type"
    ],
    [{ model: "m", messages, stream_options: { include_usage: 1 } }, "stream_options.include_usage"],
    [{ model: "m", messages, tools: [{}] }, "tools[0].type"],
    [{ model: "m", messages, max_tokens: -1 }, "max_tokens"],
    [{ model: "m", messages, n: 1.5 }, "n"],
    [[], null],
    ["text", null],
    [null, null]
  ])("%j: the param is %s", (value, param) => assert.strictEqual(chatParam(value), param))

  it.each(["", "{", "nul", "{'a':1}", '{"a":1,}', "\u0000", "[", '"\\x"', "{} {}", "\ufeff{}"])(
    "%j is not JSON",
    (body) => assert.strictEqual(refusal(Decode.chatRequest, body)?.reason._tag, "InvalidJson")
  )

  it("hands on why the body could not be read", () => {
    const error = new RequestError({ reason: { _tag: "BodyTooLarge", limitBytes: 1 } })
    const result = Decode.chatRequest(Result.fail(error))
    assert.strictEqual(Result.isFailure(result) && result.failure, error)
  })

  it("stands deep nesting", () => {
    const deep = `{"model":"m","messages":[{"role":"user","content":"hi"}],"x":${"[".repeat(100_000)}${"]".repeat(100_000)}}`
    assert.isUndefined(refusal(Decode.chatRequest, deep))
  })
})

describe("embeddingRequest", () => {
  it.each([
    [{ model: "e" }, "input"],
    [{ model: "e", input: "" }, "input"],
    [{ model: "e", input: ["a", 1] }, "input[1]"],
    [{ model: "e", input: "a", dimensions: 0 }, "dimensions"],
    [{ model: "e", input: "a", encoding_format: "hex" }, "encoding_format"]
  ])("%j: the param is %s", (value, param) => {
    const reason = refusal(Decode.embeddingRequest, JSON.stringify(value))?.reason
    assert.strictEqual(reason?._tag === "InvalidField" ? reason.param : undefined, param)
  })
})

const decoders = fc.constantFrom<Array<Decoder>>(Decode.chatRequest, Decode.embeddingRequest)

describe("any body", () => {
  it("of any JSON is accepted or refused with a reason, and never throws", () => {
    fc.assert(
      fc.property(decoders, fc.jsonValue(), (decode, value) => {
        const error = refusal(decode, JSON.stringify(value))
        if (error !== undefined) assert.include(["InvalidField"], error.reason._tag)
      })
    )
  })

  it("of any text as well", () => {
    fc.assert(
      fc.property(decoders, fc.string({ unit: "binary" }), (decode, text) => {
        const error = refusal(decode, text)
        if (error !== undefined) assert.isAbove(error.message.length, 0)
      })
    )
  })

  it("near a request: broken in one place, it is refused with exactly that place", () => {
    const request = { model: "m", messages, stream: true, n: 1, user: "u", stop: ["x"], temperature: 1 }
    const wrong = { model: 1, messages: {}, stream: "x", n: 0, user: 1, stop: 1, temperature: 9 }
    const fields = fc.constantFrom(...(Object.keys(wrong) as ReadonlyArray<keyof typeof wrong>))
    fc.assert(
      fc.property(fields, (field) => assert.strictEqual(chatParam({ ...request, [field]: wrong[field] }), field))
    )
  })

  it("comes back in no message: neither its prompt nor its keys", () => {
    // Marked, so that a hit is no accident.
    const secret = fc.stringMatching(/^[a-z]{1,8}$/).map((word) => `zq${word}qz`)
    const shapes = fc.oneof(
      secret.map((text) => ({ model: "m", messages: [{ role: "user", content: { text } }] })),
      secret.map((text) => ({ model: "m", messages: [{ role: text, content: text }] })),
      secret.map((text) => ({ model: "m", messages: [{ role: "user", content: [{ [text]: text }] }] })),
      secret.map((text) => ({ model: "m", messages: [text, text] })),
      secret.map((text) => ({ model: [text], messages, input: { [text]: text } })),
      secret.map((text) => ({ model: "m", messages, stop: { [text]: text }, input: [text, 1] })),
      secret.map((text) => [text]),
      secret
    )
    fc.assert(
      fc.property(
        decoders,
        shapes,
        fc.nat(),
        fc.constantFrom("", "}", '"', ",", " x", "\\", "\n", "'"),
        (decode, shape, at, junk) => {
          const text = JSON.stringify(shape)
          const cut = at % (text.length + 1)
          for (const body of [text, text.slice(0, cut), text.slice(0, cut) + junk + text.slice(cut), text.slice(cut)]) {
            const error = refusal(decode, body)
            if (error !== undefined) assert.notMatch(JSON.stringify([error, error.message]), /zq|[a-z]qz/)
          }
        }
      ),
      { numRuns: 500 }
    )
  })
})
