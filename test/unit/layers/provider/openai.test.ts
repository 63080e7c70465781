// OpenAI and its relatives over a scripted transport: what is sent, what comes back, what every fault becomes.
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Redacted, Stream } from "effect"
import * as fc from "fast-check"
import { azure, openai, openaiCompatible } from "../../../../src/layers/provider/openai.ts"
import type { OpenAiCompatibleOptions } from "../../../../src/layers/provider/openai.ts"
import * as Scripted from "../../../../src/layers/transport/scripted.ts"
import type { Upstream } from "../../../../src/services/provider.ts"
import { Transport } from "../../../../src/services/transport.ts"
import { candidate, chunk, frame, openRequest, read } from "../../../support/upstream-call.ts"

const key = Redacted.make("sk-test-0123456789")
const provide = <A, E>(self: Effect.Effect<A, E, Transport>, scripted: Scripted.Scripted) =>
  Effect.provideService(self, Transport, scripted.transport)

const compatible = (step: Scripted.Step, options: Partial<OpenAiCompatibleOptions> = {}) => {
  const scripted = Scripted.make([step])
  const upstream = provide(openaiCompatible({ baseUrl: "http://up/v1", ...options }), scripted)
  return Effect.map(upstream, (made) => ({ upstream: made, scripted }))
}

const sentBody = (scripted: Scripted.Scripted, index = 0): Record<string, unknown> =>
  JSON.parse(scripted.calls[index]?.request.body ?? "null")
const headersOf = (scripted: Scripted.Scripted): Record<string, string> => {
  const flat = scripted.calls[0]?.request.headers ?? []
  return Object.fromEntries(Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i], flat[2 * i + 1]]))
}

const completion = {
  id: "c",
  object: "chat.completion",
  created: 1,
  model: "m",
  choices: [{ index: 0, message: { role: "assistant", content: "hello" }, finish_reason: "stop" }],
  vendor: { kept: true }
}
const failureTag = (exit: Exit.Exit<unknown, { readonly reason: { readonly _tag: string } }>): string =>
  Exit.match(exit, {
    onSuccess: () => "success",
    onFailure: (cause) => cause.reasons.map((r) => (r._tag === "Fail" ? r.error.reason._tag : r._tag)).join()
  })
const openFailure = (upstream: Upstream, stream = true) =>
  Effect.map(Effect.flip(Effect.scoped(upstream.open(candidate, openRequest({ stream })))), (error) => error.reason)

describe("openai", () => {
  it.effect("sends the call where and as it should be", () =>
    Effect.gen(function* () {
      const scripted = Scripted.make([Scripted.json(completion)])
      const upstream = yield* provide(openai({ apiKey: key, organization: "org", project: "proj" }), scripted)
      yield* Effect.scoped(
        upstream.open(candidate, openRequest({ seed: 7 }, { traceparent: "00-aa-bb-01", includeUsage: true }))
      )
      const { origin, path } = scripted.calls[0]!.request
      assert.strictEqual(origin + path, "https://api.openai.com/v1/chat/completions")
      assert.deepInclude(headersOf(scripted), {
        authorization: "Bearer sk-test-0123456789",
        "content-type": "application/json",
        "openai-organization": "org",
        "openai-project": "proj",
        traceparent: "00-aa-bb-01"
      })
      assert.deepStrictEqual(sentBody(scripted), {
        model: "upstream-model",
        messages: [{ role: "user", content: "hi" }],
        seed: 7
      })
    })
  )

  it.effect("addresses an Azure deployment with its own key header", () =>
    Effect.gen(function* () {
      const scripted = Scripted.make([Scripted.json(completion)])
      const upstream = yield* provide(
        azure({ apiKey: key, baseUrl: "https://n.openai.azure.com", apiVersion: "v" }),
        scripted
      )
      yield* Effect.scoped(upstream.open(candidate, openRequest()))
      assert.strictEqual(
        scripted.calls[0]?.request.path,
        "/openai/deployments/upstream-model/chat/completions?api-version=v"
      )
      assert.strictEqual(headersOf(scripted)["api-key"], "sk-test-0123456789")
      assert.notProperty(headersOf(scripted), "authorization")
    })
  )

  it.effect("forwards the received text unchanged when nothing has to change", () =>
    Effect.gen(function* () {
      const { scripted, upstream } = yield* compatible(Scripted.json(completion))
      const body = '{ "model":"upstream-model", "messages":[{"role":"user","content":"hi"}], "temperature": 1.0 }'
      yield* Effect.scoped(upstream.open(candidate, openRequest(JSON.parse(body), { body, includeUsage: true })))
      assert.strictEqual(scripted.calls[0]?.request.body, body)
    })
  )

  it.effect("asks for usage only in a stream, only where the caller did not, and keeps other stream options", () =>
    Effect.gen(function* () {
      const stream = Scripted.sse([frame(chunk({ content: "a" })), frame("[DONE]")])
      const cases: ReadonlyArray<[object, boolean, object | undefined]> = [
        [{ stream: true }, true, { include_usage: true }],
        [{ stream: true }, false, undefined],
        [{ stream: true, stream_options: null }, true, { include_usage: true }],
        [{ stream: true, stream_options: { x: 1, include_usage: false } }, true, { x: 1, include_usage: true }],
        [{ stream: true, stream_options: { include_usage: true } }, true, { include_usage: true }],
        [{ stream: false }, true, undefined]
      ]
      for (const [chat, includeUsage, expected] of cases) {
        for (const withText of [false, true]) {
          const { scripted, upstream } = yield* compatible(
            "stream" in chat && chat.stream === true ? stream : Scripted.json(completion)
          )
          const request = openRequest(chat, { includeUsage })
          const body = withText ? JSON.stringify(request.chat) : undefined
          yield* Effect.scoped(upstream.open(candidate, { ...request, body }))
          assert.deepStrictEqual(sentBody(scripted)["stream_options"], expected)
        }
      }
      const { scripted, upstream } = yield* compatible(stream, { streamUsage: false })
      yield* Effect.scoped(upstream.open(candidate, openRequest({ stream: true }, { includeUsage: true })))
      assert.notProperty(sentBody(scripted), "stream_options")
    })
  )

  it.effect("gives a whole answer as one event with its own text, and what the upstream has left", () =>
    Effect.gen(function* () {
      const text = JSON.stringify(completion, null, 1)
      const { upstream } = yield* compatible(
        Scripted.json(text, {
          headers: { "x-ratelimit-remaining-requests": "3", "x-ratelimit-remaining-tokens": "-1" }
        })
      )
      const got = yield* Effect.scoped(upstream.open(candidate, openRequest()))
      assert.deepStrictEqual(got.first, {
        _tag: "Whole",
        completion,
        data: text,
        bytes: new TextEncoder().encode(text)
      } as typeof got.first)
      assert.deepStrictEqual(yield* Stream.runCollect(got.rest), [])
      assert.deepStrictEqual(got.upstream, { remainingRequests: 3, remainingTokens: undefined })
      assert.strictEqual(got.candidate, candidate)
    })
  )

  it.effect("takes JSON in answer to a stream request", () =>
    Effect.gen(function* () {
      const { upstream } = yield* compatible(Scripted.json(completion))
      const { events } = yield* Effect.scoped(read(upstream, openRequest({ stream: true })))
      assert.deepStrictEqual(
        events.map((event) => event._tag),
        ["Whole"]
      )
    })
  )

  it.effect("streams chunks with their text, however the bytes are cut", () =>
    Effect.gen(function* () {
      const data = [
        JSON.stringify(chunk({ role: "assistant", content: "" })),
        `{ "choices":[{"index":0,"delta":{"content":"grün 😀"}}], "vendor":1.0 }`,
        JSON.stringify(chunk({}, "stop")),
        JSON.stringify({
          ...chunk({}),
          choices: [],
          usage: { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 }
        })
      ]
      const text = `: hello\n\n${data.map((d) => frame(d)).join("")}${frame("[DONE]")}`
      for (const size of [1, 2, 3, 7, 50, 10_000]) {
        const { scripted, upstream } = yield* compatible(Scripted.sse(Scripted.splitEvery(text, size)))
        const { end, events } = yield* Effect.scoped(read(upstream, openRequest({ stream: true })))
        assert.deepStrictEqual(
          events.map((event) => event.data),
          data
        )
        assert.isTrue(Exit.isSuccess(end))
        assert.strictEqual(scripted.calls[0]?.state, "whole")
      }
    })
  )

  it.effect("succeeds as soon as the first chunk is here, and aborts when it is given up then", () =>
    Effect.gen(function* () {
      const { scripted, upstream } = yield* compatible(Scripted.sse([frame(chunk({ content: "a" }))], { end: "hang" }))
      yield* Effect.scoped(upstream.open(candidate, openRequest({ stream: true })))
      assert.strictEqual(scripted.calls[0]?.state, "aborted")
    })
  )

  it.effect("ends in the right error when the stream does not end well", () =>
    Effect.gen(function* () {
      const a = frame(chunk({ content: "a" }))
      const bad = Uint8Array.of(0x64, 0xff, 0x0a)
      const cases: ReadonlyArray<[string, Scripted.Answer]> = [
        ["Truncated", Scripted.sse([a])],
        ["Truncated", Scripted.sse([a, 'data: {"choi'])],
        ["Truncated", Scripted.sse([a, frame(chunk({}, "stop"))])],
        ["Truncated", Scripted.sse([a], { end: "cut" })],
        ["BrokenFrame", Scripted.sse([a, frame("{oops")])],
        ["BrokenFrame", Scripted.sse([a, frame({ no: "choices" })])],
        ["BrokenFrame", Scripted.sse([a, frame("[1]")])],
        ["BrokenFrame", Scripted.sse([a, bad])],
        ["StreamError", Scripted.sse([a, frame({ error: { message: "boom", type: "server_error" } })])],
        ["StreamError", Scripted.sse([a, frame({ message: "boom" }, "error")])],
        ["StreamError", Scripted.sse([a, frame({ ...chunk({}, "error"), error: { message: "boom", code: 502 } })])],
        ["Overloaded", Scripted.sse([a, frame({ error: { message: "busy", code: "server_is_overloaded" } })])]
      ]
      for (const [tag, answer] of cases) {
        const { upstream } = yield* compatible(answer)
        const { end, events } = yield* Effect.scoped(read(upstream, openRequest({ stream: true })))
        assert.strictEqual(events.length >= 1, true)
        assert.strictEqual(failureTag(end), tag)
      }
    })
  )

  it.effect("delivers the chunks that came in one piece with a fault, then the fault", () =>
    Effect.gen(function* () {
      const { upstream } = yield* compatible(
        Scripted.sse([frame(chunk({ content: "a" })) + frame(chunk({ content: "b" })) + frame("{oops")])
      )
      const { end, events } = yield* Effect.scoped(read(upstream, openRequest({ stream: true })))
      assert.strictEqual(events.length, 2)
      assert.strictEqual(failureTag(end), "BrokenFrame")
    })
  )

  it.effect("takes [DONE] without its blank line, and nothing behind [DONE]", () =>
    Effect.gen(function* () {
      for (const tail of ["data: [DONE]", "data: [DONE]\n", `${frame("[DONE]")}data: {garbage\n\n`]) {
        const { upstream } = yield* compatible(Scripted.sse([frame(chunk({ content: "a" })), tail]))
        const { end } = yield* Effect.scoped(read(upstream, openRequest({ stream: true })))
        assert.isTrue(Exit.isSuccess(end), tail)
      }
    })
  )

  it.effect("may end without [DONE] where the vendor is known for it, but only when every choice is finished", () =>
    Effect.gen(function* () {
      const both = [frame(chunk({ content: "a" })), frame(chunk({ content: "b" }, null, 1)), frame(chunk({}, "stop"))]
      const half = yield* compatible(Scripted.sse(both), { doneOptional: true })
      assert.strictEqual(
        failureTag((yield* Effect.scoped(read(half.upstream, openRequest({ stream: true })))).end),
        "Truncated"
      )
      const full = yield* compatible(Scripted.sse([...both, frame(chunk({}, "stop", 1))]), { doneOptional: true })
      assert.strictEqual(
        failureTag((yield* Effect.scoped(read(full.upstream, openRequest({ stream: true })))).end),
        "success"
      )
    })
  )

  it.effect("fails to open where no first chunk comes", () =>
    Effect.gen(function* () {
      const cases: ReadonlyArray<[string, Scripted.Step]> = [
        ["BadResponse", Scripted.sse([frame("[DONE]")])],
        ["Truncated", Scripted.sse([])],
        ["Truncated", Scripted.sse([": ping\n\n"], { end: "cut" })],
        ["StreamError", Scripted.sse([frame({ error: { message: "boom" } })])],
        ["Unreachable", { fail: { _tag: "Unreachable", detail: "refused", refused: true } }],
        ["Unreachable", { fail: { _tag: "Closed", detail: "other side closed" } }],
        ["Timeout", { fail: { _tag: "Timeout", phase: "connect", afterMs: 2_000 } }]
      ]
      for (const [tag, step] of cases) {
        const { upstream } = yield* compatible(step)
        assert.strictEqual((yield* openFailure(upstream))._tag, tag)
      }
    })
  )

  it.effect("refuses whole answers that are none", () =>
    Effect.gen(function* () {
      const cases: ReadonlyArray<[string, Scripted.Answer]> = [
        ["BadResponse", Scripted.json("{")],
        ["BadResponse", Scripted.json("<html>")],
        ["BadResponse", Scripted.json({ choices: "none" })],
        ["BadResponse", Scripted.json([])],
        ["BadResponse", Scripted.json(completion, { status: 302 })],
        ["StreamError", Scripted.json({ error: { message: "boom", code: 500 } })],
        ["Truncated", Scripted.json(completion, { end: "cut" })],
        ["BadResponse", Scripted.json({ choices: [], x: "y".repeat(3_000) })]
      ]
      for (const [tag, answer] of cases) {
        const { upstream } = yield* compatible(answer, { maxResponseBytes: 2_000 })
        assert.strictEqual((yield* openFailure(upstream, false))._tag, tag)
      }
    })
  )

  it.effect("turns an error answer into its reason, with advice and without secrets", () =>
    Effect.gen(function* () {
      const scripted = Scripted.make([
        Scripted.json(
          {
            error: {
              message: "Rate limit for key sk-test-0123456789",
              type: "requests",
              code: "rate_limit_exceeded",
              param: null
            }
          },
          { status: 429, headers: { "retry-after-ms": "1500", "retry-after": "2" } }
        ),
        Scripted.json({}, { status: 503, headers: { "retry-after": "3", "x-should-retry": "false" } }),
        Scripted.json("", { status: 500, end: "cut" })
      ])
      const upstream = yield* provide(openai({ apiKey: key }), scripted)
      assert.deepStrictEqual(yield* openFailure(upstream), {
        _tag: "RateLimited",
        status: 429,
        detail: "Rate limit for key [redacted]",
        code: "rate_limit_exceeded",
        retryAfterMs: 1_500
      })
      assert.deepStrictEqual(yield* openFailure(upstream), {
        _tag: "PermissionDenied",
        status: 503,
        detail: "HTTP 503"
      })
      assert.deepStrictEqual(yield* openFailure(upstream), { _tag: "ServerError", status: 500, detail: "HTTP 500" })
    })
  )

  it.effect("makes no call after the deadline", () =>
    Effect.gen(function* () {
      const { scripted, upstream } = yield* compatible(Scripted.json(completion))
      const error = yield* Effect.flip(Effect.scoped(upstream.open(candidate, openRequest({}, { deadlineMs: 0 }))))
      assert.strictEqual(error.reason._tag, "Timeout")
      assert.strictEqual(scripted.calls.length, 0)
    })
  )

  it.effect("embeds, keeping the text, and refuses what is no list", () =>
    Effect.gen(function* () {
      const answer =
        '{"object":"list","model":"e","data":[{"object":"embedding","index":0,"embedding":[0.10]}],"usage":{"prompt_tokens":1,"total_tokens":1}}'
      const scripted = Scripted.make([Scripted.json(answer), Scripted.json({ data: {} })])
      const upstream = yield* provide(openaiCompatible({ baseUrl: "http://up/v1" }), scripted)
      const request = {
        embedding: { model: "alias", input: ["x"] },
        body: undefined,
        deadlineMs: Infinity,
        traceparent: undefined
      }
      const got = yield* Effect.scoped(upstream.embed(candidate, request))
      assert.strictEqual(got.data, answer)
      assert.strictEqual(got.response.data.length, 1)
      assert.strictEqual(scripted.calls[0]?.request.path, "/v1/embeddings")
      assert.deepStrictEqual(sentBody(scripted), { model: "upstream-model", input: ["x"] })
      assert.strictEqual(
        (yield* Effect.flip(Effect.scoped(upstream.embed(candidate, request)))).reason._tag,
        "BadResponse"
      )
    })
  )

  it.effect("never ends cleanly nor dies on any prefix or corruption of a stream", () =>
    Effect.promise(() => {
      const text = ["a", "ü", "b"].map((content) => frame(chunk({ content }))).join("")
      const bytes = new TextEncoder().encode(text)
      return fc.assert(
        fc.asyncProperty(
          fc.nat(bytes.length),
          fc.nat(255),
          fc.nat(bytes.length - 1),
          fc.boolean(),
          (end, value, at, corrupt) => {
            const cut = bytes.slice(0, end)
            if (corrupt && at < end) cut[at] = value
            return Effect.runPromise(
              Effect.gen(function* () {
                const { upstream } = yield* compatible(Scripted.sse([cut]))
                const exit = yield* Effect.exit(Effect.scoped(read(upstream, openRequest({ stream: true }))))
                const tag = Exit.isSuccess(exit) ? failureTag(exit.value.end) : failureTag(exit)
                assert.include(["Truncated", "BrokenFrame", "StreamError"], tag)
              })
            )
          }
        ),
        { numRuns: 100 }
      )
    })
  )

  it.effect("dies on a base URL that is none", () =>
    Effect.gen(function* () {
      const exit = yield* Effect.exit(compatible(Scripted.json({}), { baseUrl: "not a url" }))
      assert.isTrue(Exit.hasDies(exit))
    })
  )
})
