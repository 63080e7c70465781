// No key survives in an upstream's text.
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import * as Redact from "../../../../src/layers/provider/redact.ts"

const redact = Redact.make(["top-secret/key+1", "short"])

describe("redact", () => {
  it.each([
    ["our key", "bad key top-secret/key+1!", "top-secret"],
    ["our key in a URL", "GET /x?k=top-secret%2Fkey%2B1", "top-secret"],
    ["an OpenAI key", "Incorrect API key provided: sk-proj-abcDEF123456.", "abcDEF"],
    ["a masked key", "Incorrect API key provided: sk-ab***********wxyz.", "wxyz"],
    ["a bearer token", "Authorization: Bearer abc.def-123", "abc.def"],
    ["a bearer token in prose", "got bearer Zm9vYmFyYmF6MTIz here", "Zm9v"],
    ["an api-key header", '{"api-key":"0123456789abcdef"}', "0123456789"],
    ["an x-api-key header", "x-api-key=abcdefghijkl", "abcdefgh"],
    ["a query key", "https://h/p?key=abcdefg&x=1", "abcdefg"],
    ["a signed URL", "https://h/p?x=1&sig=abcdefg", "abcdefg"],
    ["a JWT", "token eyJhbGciOi.eyJzdWIiOi.c2lnbmF0", "eyJzdWIiOi"],
    ["a Google key", "AIzaSyA1234567890123456789012345", "AIzaSy"]
  ])("removes %s", (_name, text, secret) => {
    const out = redact(text)
    assert.notInclude(out, secret)
    assert.include(out, Redact.mask)
  })

  it("keeps ordinary words", () => {
    for (const text of [
      "Rate limit reached for gpt-5",
      "use Bearer authentication",
      "install sk-learn",
      "the api key is missing"
    ]) {
      assert.strictEqual(redact(text), text)
    }
  })

  it("shortens after it has removed, so that no cut hides a key from it", () => {
    const out = redact(`${"x".repeat(Redact.maxDetailChars - 6)} top-secret/key+1`)
    assert.isAtMost(out.length, Redact.maxDetailChars)
    assert.notInclude(out, "top")
  })

  it("removes a known key wherever it stands", () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), fc.string({ minLength: 6 }), (before, after, secret) => {
        fc.pre(!Redact.mask.includes(secret) && !before.includes(secret) && !after.includes(secret))
        const out = Redact.make([secret])(`${before}${secret}${after}`)
        assert.isFalse(out.includes(secret) && !`${before}${Redact.mask}${after}`.includes(secret))
      })
    )
  })

  it("does not blow up on long hostile text", () => {
    const started = performance.now()
    redact(`${"authorization ".repeat(4_000)}${"bearer ".repeat(4_000)}${"?key".repeat(4_000)}${"eyJ".repeat(8_000)}`)
    redact(`sk-${"a".repeat(60_000)} bearer ${"b".repeat(60_000)}`)
    assert.isBelow(performance.now() - started, 2_000)
  })
})
