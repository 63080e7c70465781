import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Latch, Stream } from "effect"
import * as Caller from "../../../../src/domain/caller.ts"
import type { ChatChunk, ChatCompletion } from "../../../../src/domain/chat.ts"
import { ProviderError } from "../../../../src/domain/errors.ts"
import * as Usage from "../../../../src/domain/usage.ts"
import * as Answer from "../../../../src/programs/server/answer.ts"
import type { ChunkEvent, Completion, CompletionEvent } from "../../../../src/services/provider.ts"
import { make } from "../../../../src/services/request-record.ts"
import * as Exchange from "../../../support/exchange.ts"

const head = { id: "c1", object: "chat.completion.chunk" as const, created: 1, model: "m" }
const record = () => make({ id: "req_1", operation: "chat", caller: Caller.anonymous, startedAt: 1_000 })
const now = () => 1_010

const event = (chunk: ChatChunk, data = JSON.stringify(chunk)): ChunkEvent => ({ _tag: "Chunk", chunk, data })
const text = (content: string, finish_reason: string | null = null) =>
  event({ ...head, choices: [{ index: 0, delta: { content }, finish_reason }] })
const usage = event({ ...head, choices: [], usage: Usage.make(1, 2) })

const whole: ChatCompletion = {
  id: "c1",
  object: "chat.completion",
  created: 1,
  model: "m",
  choices: [{ index: 0, message: { role: "assistant", content: "Hello" }, finish_reason: "stop" }],
  usage: Usage.make(1, 2)
}
// Spaced as no encoder of ours would do it, to see that it is forwarded.
const wholeData = JSON.stringify(whole, null, 1)

const completion = (first: CompletionEvent, rest: Completion["rest"] = Stream.empty): Completion => ({
  candidate: { provider: "p", model: "m" },
  first,
  rest,
  upstream: { remainingRequests: undefined, remainingTokens: undefined }
})

const broken = new ProviderError({ provider: "p", reason: { _tag: "Truncated", detail: "cut" } })

/** The events of a stream as a client reads them (HTML standard: `data:` lines joined by line breaks). */
const framesOf = (sent: Exchange.Sent) =>
  sent.text
    .split("\n\n")
    .filter((frame) => frame !== "")
    .map((frame) =>
      frame
        .split("\n")
        .map((line) => line.replace(/^data: /, ""))
        .join("\n")
    )

describe("whole", () => {
  it.effect("forwards a whole answer as it came", () =>
    Effect.gen(function* () {
      const { exchange, sent } = Exchange.make()
      yield* Answer.whole(exchange, record(), now, completion({ _tag: "Whole", completion: whole, data: wholeData }))
      assert.deepStrictEqual([sent.status, sent.text, sent.ended], [200, wholeData, true])
      assert.strictEqual(sent.headers["content-type"], "application/json")
      assert.strictEqual(sent.headers["openai-processing-ms"], "10")
    })
  )

  it.effect("collects one that was streamed all the same", () =>
    Effect.gen(function* () {
      const { exchange, sent } = Exchange.make()
      yield* Answer.whole(exchange, record(), now, completion(text("Hel"), Stream.make(text("lo", "stop"), usage)))
      const body = JSON.parse(sent.text)
      assert.strictEqual(body.object, "chat.completion")
      assert.strictEqual(body.choices[0].message.content, "Hello")
      assert.deepStrictEqual(body.usage, Usage.make(1, 2))
    })
  )

  it.effect("sends nothing of a stream that broke: the error can still have its status", () =>
    Effect.gen(function* () {
      const { exchange, sent } = Exchange.make()
      const exit = yield* Effect.exit(
        Answer.whole(exchange, record(), now, completion(text("Hel"), Stream.fail(broken)))
      )
      assert.deepStrictEqual(exit, Exit.fail(broken))
      assert.isUndefined(sent.status)
    })
  )
})

const stream = (answer: Completion, includeUsage = false, full?: (write: number) => boolean) => {
  const { exchange, sent } = Exchange.make(full === undefined ? {} : { full })
  return { sent, run: Answer.sse(exchange, record(), now, answer, includeUsage) }
}

describe("sse", () => {
  it.effect("forwards chunks as they came, a write for each batch, and says when it is done", () =>
    Effect.gen(function* () {
      const odd = event(text("b").chunk, '{ "choices" : [], "odd": 1.0 }')
      const { run, sent } = stream(completion(text("a"), Stream.make(odd, text("c"), text("d", "stop"))))
      yield* run
      assert.deepStrictEqual(framesOf(sent), [
        text("a").data,
        odd.data,
        text("c").data,
        text("d", "stop").data,
        "[DONE]"
      ])
      assert.strictEqual(sent.writes.length, 3)
      assert.isTrue(sent.ended)
      assert.deepInclude(sent.headers, {
        "content-type": "text/event-stream; charset=utf-8",
        "cache-control": "no-cache, no-transform"
      })
    })
  )

  it.effect("leaves the token counts out for who did not ask, and writes nothing for an empty batch", () =>
    Effect.gen(function* () {
      const parts = () => completion(text("a", "stop"), Stream.make(usage))
      const untold = stream(parts())
      yield* untold.run
      assert.deepStrictEqual(framesOf(untold.sent), [text("a", "stop").data, "[DONE]"])
      assert.strictEqual(untold.sent.writes.length, 2)
      const told = stream(parts(), true)
      yield* told.run
      assert.deepStrictEqual(framesOf(told.sent), [text("a", "stop").data, usage.data, "[DONE]"])
    })
  )

  it.effect("keeps a chunk without choices that is no token count", () =>
    Effect.gen(function* () {
      // Azure begins with one that has the verdict on the prompt; asked for the counts, all its chunks have `usage: null`.
      for (const fields of [{}, { usage: null }]) {
        const verdict = event({ ...head, choices: [], prompt_filter_results: [], ...fields })
        const { run, sent } = stream(completion(verdict, Stream.make(text("a", "stop"))))
        yield* run
        assert.strictEqual(framesOf(sent)[0], verdict.data)
      }
    })
  )

  it.effect("tells a whole answer as chunks", () =>
    Effect.gen(function* () {
      for (const includeUsage of [true, false]) {
        const { run, sent } = stream(completion({ _tag: "Whole", completion: whole, data: wholeData }), includeUsage)
        yield* run
        const frames = framesOf(sent)
        assert.strictEqual(frames.pop(), "[DONE]")
        const chunks = frames.map((frame): ChatChunk => JSON.parse(frame))
        assert.strictEqual(chunks[0]?.choices[0]?.delta.content, "Hello")
        assert.strictEqual(chunks[1]?.choices[0]?.finish_reason, "stop")
        assert.deepStrictEqual(chunks[2]?.usage, includeUsage ? Usage.make(1, 2) : undefined)
      }
    })
  )

  it.effect("keeps text with line breaks in one event", () =>
    Effect.gen(function* () {
      const chunk = text("a").chunk
      const { run, sent } = stream(completion(event(chunk, JSON.stringify(chunk, null, 2))))
      yield* run
      assert.deepStrictEqual(JSON.parse(framesOf(sent)[0] ?? ""), chunk)
    })
  )

  it.effect("does not end a stream that broke", () =>
    Effect.gen(function* () {
      const { run, sent } = stream(completion(text("a"), Stream.concat(Stream.make(text("b")), Stream.fail(broken))))
      assert.deepStrictEqual(yield* Effect.exit(run), Exit.fail(broken))
      assert.deepStrictEqual(framesOf(sent), [text("a").data, text("b").data])
      assert.isFalse(sent.ended)
    })
  )

  it.effect("reads no further while the client's buffer is full", () =>
    Effect.gen(function* () {
      const latch = Latch.makeUnsafe(false)
      const pulled: Array<string> = []
      const rest = Stream.make("b", "c", "d").pipe(
        Stream.rechunk(1),
        Stream.tap((content) => Effect.sync(() => pulled.push(content))),
        Stream.map((content) => text(content))
      )
      const { exchange, sent } = Exchange.make({ full: (write) => write === 2 })
      const drained = Effect.andThen(exchange.drained, latch.await)
      const fiber = yield* Effect.forkChild(
        Answer.sse({ ...exchange, drained }, record(), now, completion(text("a"), rest), false)
      )
      while (sent.waits === 0) yield* Effect.yieldNow
      assert.deepStrictEqual(pulled, ["b"])
      yield* latch.open
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(pulled, ["b", "c", "d"])
      assert.deepStrictEqual([framesOf(sent).at(-1), sent.waits], ["[DONE]", 1])
    })
  )

  it.effect("waits after the first chunk as well", () =>
    Effect.gen(function* () {
      const { run, sent } = stream(completion(text("a"), Stream.make(text("b"))), false, (write) => write === 1)
      yield* run
      assert.strictEqual(sent.waits, 1)
    })
  )
})
