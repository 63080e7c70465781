// Anthropic over a scripted transport: whole answers, streams, faults.
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Redacted } from "effect"
import * as TestClock from "effect/testing/TestClock"
import { isChatChunk } from "../../../../src/domain/chat.ts"
import type { ChatChunk } from "../../../../src/domain/chat.ts"
import { anthropic } from "../../../../src/layers/provider/anthropic.ts"
import * as Scripted from "../../../../src/layers/transport/scripted.ts"
import { Transport } from "../../../../src/services/transport.ts"
import { candidate, frame, openRequest, read } from "../../../support/upstream-call.ts"

const make = (step: Scripted.Step) => {
  const scripted = Scripted.make([step])
  const upstream = anthropic({ apiKey: Redacted.make("ant-key-1") })
  return Effect.map(Effect.provideService(upstream, Transport, scripted.transport), (made) => ({
    upstream: made,
    scripted
  }))
}
const event = (value: { type: string; [key: string]: unknown }) => frame(value, value.type)

const start = event({
  type: "message_start",
  message: { id: "msg_1", model: "claude-x", usage: { input_tokens: 9, cache_read_input_tokens: 1, output_tokens: 1 } }
})
const ping = event({ type: "ping" })
const textStart = event({ type: "content_block_start", index: 0, content_block: { type: "text", text: "" } })
const text = (value: string) =>
  event({ type: "content_block_delta", index: 0, delta: { type: "text_delta", text: value } })
const blockStop = (index: number) => event({ type: "content_block_stop", index })
const end = (stop_reason: string) =>
  event({ type: "message_delta", delta: { stop_reason }, usage: { output_tokens: 5 } })
const stop = event({ type: "message_stop" })
const overloaded = event({ type: "error", error: { type: "overloaded_error", message: "Overloaded" } })

const run = (answer: Scripted.Step, includeUsage = false) =>
  Effect.gen(function* () {
    yield* TestClock.setTime(5_000)
    const { scripted, upstream } = yield* make(answer)
    const result = yield* Effect.scoped(read(upstream, openRequest({ stream: true }, { includeUsage })))
    const chunks: Array<ChatChunk> = result.events.map((e) => {
      const parsed = JSON.parse(e.data)
      assert.isTrue(isChatChunk(parsed))
      if (e._tag === "Chunk") assert.deepStrictEqual(parsed, e.chunk as unknown)
      return parsed
    })
    return { ...result, chunks, scripted }
  })

const fail = (step: Scripted.Step, chat = {}) =>
  Effect.flatMap(make(step), ({ upstream }) =>
    Effect.map(Effect.flip(Effect.scoped(upstream.open(candidate, openRequest(chat)))), (error) => error.reason)
  )

describe("anthropic", () => {
  it.effect("sends key, version and a Messages body, and translates the whole answer", () =>
    Effect.gen(function* () {
      const { scripted, upstream } = yield* make(
        Scripted.json(
          {
            id: "msg",
            type: "message",
            model: "claude-x",
            content: [{ type: "text", text: "hello" }],
            stop_reason: "end_turn",
            usage: { input_tokens: 3, output_tokens: 2 }
          },
          { headers: { "anthropic-ratelimit-requests-remaining": "8" } }
        )
      )
      const got = yield* Effect.scoped(upstream.open(candidate, openRequest()))
      const request = scripted.calls[0]!.request
      assert.strictEqual(request.origin + request.path, "https://api.anthropic.com/v1/messages")
      assert.include(request.headers.join("|"), "x-api-key|ant-key-1")
      assert.include(request.headers.join("|"), "anthropic-version|2023-06-01")
      assert.deepInclude(JSON.parse(request.body ?? ""), { model: "upstream-model", max_tokens: 4_096 })
      assert.strictEqual(got.first._tag, "Whole")
      assert.deepInclude(JSON.parse(got.first.data), { id: "msg", object: "chat.completion" })
      assert.strictEqual(got.upstream.remainingRequests, 8)
    })
  )

  it.effect("streams text as chunks, the role with the first, usage at the end when asked", () =>
    Effect.gen(function* () {
      const body = start + ping + textStart + text("Hel") + text("lo") + blockStop(0) + end("end_turn") + stop
      for (const size of [1, 5, 64, 10_000]) {
        const { chunks, end: exit } = yield* run(Scripted.sse(Scripted.splitEvery(body, size)), true)
        assert.isTrue(Exit.isSuccess(exit))
        assert.deepStrictEqual(
          chunks.map((chunk) => chunk.choices[0]),
          [
            { index: 0, delta: { role: "assistant", content: "Hel" }, finish_reason: null },
            { index: 0, delta: { content: "lo" }, finish_reason: null },
            { index: 0, delta: {}, finish_reason: "stop" },
            undefined
          ]
        )
        assert.deepInclude(chunks[0], { id: "msg_1", model: "claude-x", created: 5, object: "chat.completion.chunk" })
        assert.deepInclude(chunks[3]?.usage, { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 })
      }
      const without = yield* run(Scripted.sse([body]))
      assert.strictEqual(without.chunks.length, 3)
    })
  )

  it.effect("streams tool calls with their own count of indexes, and thinking", () =>
    Effect.gen(function* () {
      const tool = (index: number, id: string) =>
        event({ type: "content_block_start", index, content_block: { type: "tool_use", id, name: "f", input: {} } }) +
        event({ type: "content_block_delta", index, delta: { type: "input_json_delta", partial_json: '{"a"' } }) +
        event({ type: "content_block_delta", index, delta: { type: "input_json_delta", partial_json: ":1}" } }) +
        blockStop(index)
      const thinking =
        event({ type: "content_block_start", index: 0, content_block: { type: "thinking", thinking: "" } }) +
        event({ type: "content_block_delta", index: 0, delta: { type: "thinking_delta", thinking: "hm" } }) +
        event({ type: "content_block_delta", index: 0, delta: { type: "signature_delta", signature: "s" } }) +
        event({ type: "future_event" })
      const { chunks } = yield* run(
        Scripted.sse([start, thinking, tool(1, "t1"), tool(2, "t2"), end("tool_use"), stop])
      )
      const args: Record<number, string> = {}
      const ids: Array<string | undefined> = []
      for (const chunk of chunks) {
        for (const call of chunk.choices[0]?.delta.tool_calls ?? []) {
          args[call.index] = (args[call.index] ?? "") + (call.function?.arguments ?? "")
          if (call.id !== undefined) ids[call.index] = call.id
        }
      }
      assert.deepStrictEqual(args, { 0: '{"a":1}', 1: '{"a":1}' })
      assert.deepStrictEqual(ids, ["t1", "t2"])
      assert.strictEqual(chunks[0]?.choices[0]?.delta["reasoning_content"], "hm")
      assert.strictEqual(chunks.at(-1)?.choices[0]?.finish_reason, "tool_calls")
    })
  )

  it.effect("ends in the right error when the stream does not end well", () =>
    Effect.gen(function* () {
      const begun = start + textStart + text("a")
      const cases: ReadonlyArray<[string, Scripted.Answer]> = [
        ["Truncated", Scripted.sse([begun])],
        ["Truncated", Scripted.sse([begun, end("end_turn")])],
        ["Truncated", Scripted.sse([begun], { end: "cut" })],
        ["Overloaded", Scripted.sse([begun, overloaded])],
        ["StreamError", Scripted.sse([begun, event({ type: "error", error: { type: "api_error", message: "x" } })])],
        ["BrokenFrame", Scripted.sse([begun, "data: {oops\n\n"])]
      ]
      for (const [tag, answer] of cases) {
        const { end: exit } = yield* run(answer)
        const error = yield* Effect.flip(exit)
        assert.strictEqual(error.reason._tag, tag)
      }
    })
  )

  it.effect("can still be retried when it is overloaded after message_start", () =>
    Effect.gen(function* () {
      const { upstream } = yield* make(Scripted.sse([start, ping, overloaded]))
      const error = yield* Effect.flip(Effect.scoped(upstream.open(candidate, openRequest({ stream: true }))))
      assert.strictEqual(error.reason._tag, "Overloaded")
    })
  )

  it.effect("turns refusals into reasons: 529, a bad body, a part it cannot take", () =>
    Effect.gen(function* () {
      const body = { type: "error", error: { type: "overloaded_error", message: "Overloaded x-api-key: ant-key-1" } }
      const reason = yield* fail(Scripted.json(body, { status: 529 }))
      assert.deepInclude(reason, { _tag: "Overloaded", status: 529 })
      assert.notInclude(JSON.stringify(reason), "ant-key-1")
      assert.strictEqual((yield* fail(Scripted.json({ content: 1 })))._tag, "BadResponse")
      assert.strictEqual((yield* fail(Scripted.json(body)))._tag, "Overloaded")
      assert.deepInclude(yield* fail("hang", { n: 2 }), { _tag: "BadRequest", param: "n" })
    })
  )

  it.effect("has no embeddings, and says so without a call", () =>
    Effect.gen(function* () {
      const { scripted, upstream } = yield* make("hang")
      const request = {
        embedding: { model: "a", input: "x" },
        body: undefined,
        deadlineMs: Infinity,
        traceparent: undefined
      }
      const error = yield* Effect.flip(Effect.scoped(upstream.embed(candidate, request)))
      assert.strictEqual(error.reason._tag, "NotFound")
      assert.strictEqual(scripted.calls.length, 0)
    })
  )
})
