// From status and error body to the reason.
import { assert, describe, it } from "@effect/vitest"
import { rowOf } from "../../../../src/domain/error-table.ts"
import { ProviderError } from "../../../../src/domain/errors.ts"
import { faultOf, faultOfText, inBandReasonOf, noAdvice, reasonOf } from "../../../../src/layers/provider/status.ts"

const same = (text: string) => text
const plain = faultOfText("", "HTTP error")
const openai = (error: Record<string, unknown>) => faultOfText(JSON.stringify({ error }), "HTTP error")

const of = (error: Record<string, unknown>) => inBandReasonOf(faultOf({ error }, "f"), same)._tag

const hide = (text: string) => text.replaceAll("KEY", "***")

describe("status", () => {
  it.each([
    [302, "BadResponse"],
    [400, "BadRequest"],
    [401, "Authentication"],
    [402, "QuotaExhausted"],
    [403, "PermissionDenied"],
    [404, "NotFound"],
    [408, "ServerError"],
    [409, "ServerError"],
    [413, "TooLarge"],
    [415, "BadRequest"],
    [422, "BadRequest"],
    [429, "RateLimited"],
    [451, "PermissionDenied"],
    [500, "ServerError"],
    [502, "ServerError"],
    [503, "Overloaded"],
    [504, "ServerError"],
    [524, "ServerError"],
    [529, "Overloaded"]
  ])("%i is %s", (status, tag) => {
    assert.strictEqual(reasonOf(status, plain, noAdvice, same)._tag, tag)
  })

  it("tells an empty account from a rate limit", () => {
    for (const body of [
      openai({ code: "insufficient_quota", message: "You exceeded your current quota" }),
      openai({ type: "insufficient_quota", message: "m" }),
      openai({ code: "billing_hard_limit_reached", message: "m" })
    ]) {
      assert.strictEqual(reasonOf(429, body, noAdvice, same)._tag, "QuotaExhausted")
    }
    const anthropic = faultOfText(
      '{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the API"}}',
      ""
    )
    assert.strictEqual(reasonOf(400, anthropic, noAdvice, same)._tag, "QuotaExhausted")
  })

  it("reads message, code and param of OpenAI, Azure, Anthropic, vLLM, FastAPI and plain text", () => {
    assert.deepStrictEqual(
      reasonOf(
        400,
        openai({ message: "too long", code: "context_length_exceeded", param: "messages", type: "x" }),
        noAdvice,
        same
      ),
      { _tag: "BadRequest", status: 400, detail: "too long", code: "context_length_exceeded", param: "messages" }
    )
    assert.deepStrictEqual(faultOfText('{"error":{"code":"429","message":"Requests exceed"}}', "f"), {
      message: "Requests exceed",
      type: undefined,
      code: "429",
      param: undefined
    })
    assert.deepInclude(
      faultOfText('{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}', "f"),
      {
        message: "Overloaded",
        type: "overloaded_error"
      }
    )
    assert.deepInclude(faultOfText('{"object":"error","message":"no","code":40303}', "f"), {
      message: "no",
      code: "40303"
    })
    assert.strictEqual(faultOfText('{"detail":"Not Found"}', "f").message, "Not Found")
    assert.strictEqual(faultOfText('{"detail":[{"loc":["body"]}]}', "f").message, '[{"loc":["body"]}]')
    assert.strictEqual(faultOfText('{"error":"model missing"}', "f").message, "model missing")
    assert.strictEqual(faultOfText("upstream connect error", "f").message, "upstream connect error")
    for (const useless of ["", "<html>502</html>", "{}", "[1]", "null", '{"error":{}}']) {
      assert.strictEqual(faultOfText(useless, "HTTP 502").message, "HTTP 502")
    }
  })

  it("carries the retry advice where it may be retried", () => {
    const advice = { retryAfterMs: 1_500, shouldRetry: undefined }
    for (const status of [429, 500, 503, 529]) {
      assert.deepInclude(reasonOf(status, plain, advice, same), { retryAfterMs: 1_500 })
    }
    assert.notProperty(reasonOf(400, plain, advice, same), "retryAfterMs")
  })

  it("makes x-should-retry: false final without a verdict against the provider", () => {
    for (const status of [408, 409, 429, 500, 503, 529]) {
      const reason = reasonOf(status, plain, { retryAfterMs: 5, shouldRetry: false }, same)
      const row = rowOf(new ProviderError({ provider: "p", reason }))
      assert.notStrictEqual(row.next, "retry", `${status}`)
      assert.isFalse(row.clientRetry)
      assert.isFalse(row.breaker)
    }
    assert.strictEqual(reasonOf(429, plain, { retryAfterMs: 5, shouldRetry: true }, same)._tag, "RateLimited")
  })

  it("sorts errors inside an answer", () => {
    assert.strictEqual(of({ message: "boom", type: "server_error" }), "StreamError")
    assert.strictEqual(of({ type: "overloaded_error" }), "Overloaded")
    assert.strictEqual(of({ type: "rate_limit_error" }), "RateLimited")
    assert.strictEqual(of({ code: "insufficient_quota" }), "QuotaExhausted")
    assert.strictEqual(of({ type: "invalid_request_error" }), "BadRequest")
  })

  it("redacts what it echoes", () => {
    const reason = reasonOf(401, openai({ message: "bad KEY", code: "KEY", param: "KEY" }), noAdvice, hide)
    assert.notInclude(JSON.stringify(reason), "KEY")
  })
})
