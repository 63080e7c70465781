// Editing the caller's text must mean the same as encoding it anew.
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { rewrite } from "../../../../src/layers/provider/forward-body.ts"

const extra = { stream_options: { include_usage: true } }
const expected = (request: object, model: string, more: object | undefined) => ({ ...request, ...more, model })

/** JSON with white space anywhere, keys in any order, and strings that look like keys. */
const texts = fc.constantFrom("gpt", "m", '"model"', 'x"model":"m', "model", "\u00e9", "a\\b", "\u0007", "{}")
const request = fc.record({
  model: fc.constantFrom("m", "gpt", 'odd"name', "\u00e9", "a\\b"),
  messages: fc.array(fc.record({ role: fc.constant("user"), content: texts }), { minLength: 1, maxLength: 3 }),
  metadata: fc.dictionary(texts, texts, { maxKeys: 3 }),
  user: texts
})

describe("forward-body", () => {
  it("equals parsing and encoding, for every text, model and addition", () => {
    fc.assert(
      fc.property(
        request,
        fc.constantFrom(undefined, 0, 2, "\t"),
        fc.boolean(),
        fc.constantFrom("m", "other", 'up"stream'),
        fc.constantFrom(undefined, extra),
        fc.constantFrom("", "\n", " \r\n\t"),
        (value, indent, reversed, model, more, tail) => {
          const ordered = reversed ? Object.fromEntries(Object.entries(value).toReversed()) : value
          const text = JSON.stringify(ordered, null, indent) + tail
          assert.deepStrictEqual(JSON.parse(rewrite(text, value, model, more) ?? ""), expected(value, model, more))
        }
      ),
      { numRuns: 500 }
    )
  })

  it("sends the text itself where nothing changes, and edits only its place where the model does", () => {
    const text = '{ "messages" : [{"role":"user","content":"1.0e0"}], "model" :\n"alias", "seed": 1.50 }\n'
    const value = JSON.parse(text)
    assert.strictEqual(rewrite(text, value, "alias", undefined), text)
    assert.strictEqual(rewrite(text, value, "up", undefined), text.replace('"alias"', '"up"'))
    assert.include(rewrite(text, value, "up", extra), "1.50")
  })

  it("is not fooled into leaving the alias or another model where a reader may look", () => {
    for (const text of [
      '{"\\u006dodel":"cheap","messages":[],"metadata":{"model":"cheap"}}',
      '{"model":"dear","model":"cheap","messages":[]}',
      '{"metadata":{"model":"cheap"},"model":"cheap","messages":[]}',
      '{"x\\"model":"cheap","messages":[],"model":"cheap"}'
    ]) {
      const value = JSON.parse(text)
      const out = rewrite(text, value, "up", undefined)
      assert.deepStrictEqual(JSON.parse(out ?? ""), { ...value, model: "up" })
      assert.strictEqual(out, JSON.stringify({ ...value, model: "up" }), "encoded anew")
      assert.strictEqual(rewrite(text, value, "cheap", undefined), JSON.stringify(value), "encoded anew, same model")
    }
  })
})
