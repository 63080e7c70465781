/** Streams that break off: an error without partial answers, an honest end with them; capped ones by what their end was. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Layer, Result, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as Caller from "../../../src/domain/caller.ts"
import type { ChatChunk, ChatDelta } from "../../../src/domain/chat.ts"
import { keyOf } from "../../../src/domain/error-table.ts"
import type { ErrorKey } from "../../../src/domain/error-table.ts"
import { ProviderError } from "../../../src/domain/errors.ts"
import type { ProviderReason } from "../../../src/domain/errors.ts"
import * as Usage from "../../../src/domain/usage.ts"
import { complete } from "../../../src/programs/complete.ts"
import { CurrentCaller } from "../../../src/services/caller.ts"
import { events } from "../../../src/services/provider.ts"
import type { CompletionEvent } from "../../../src/services/provider.ts"
import { TokenCounter } from "../../../src/services/token-counter.ts"
import { balanced, chat, chunk, configOf, make, streaming } from "../../support/scripted-ballast.ts"

type Rest = Stream.Stream<CompletionEvent, ProviderError>

const partial = (policies: Parameters<typeof configOf>[0] = {}, features = {}) =>
  configOf({ brownout: { partial: true }, ...policies }, { features })

const broken = (reason: ProviderReason = { _tag: "Truncated", detail: "cut" }): Rest =>
  Stream.fail(new ProviderError({ provider: "one", reason }))

/** A chunk of one choice. */
const piece = (delta: ChatDelta, finish_reason: string | null = null): CompletionEvent => {
  const value: ChatChunk = {
    id: "chatcmpl-1",
    object: "chat.completion.chunk",
    created: 0,
    model: "scripted",
    choices: [{ index: 0, delta, finish_reason }]
  }
  return { _tag: "Chunk", chunk: value, data: JSON.stringify(value) }
}

const chunksOf = (read: ReadonlyArray<CompletionEvent>) =>
  read.flatMap((event) => (event._tag === "Chunk" ? [event.chunk] : []))

/** Everything a reader gets of one stream within `forMs`, and how it ended. */
const read = (forMs = 10) =>
  Effect.gen(function* () {
    const seen: Array<CompletionEvent> = []
    const fiber = yield* Effect.forkChild(
      Effect.exit(
        Effect.scoped(
          Effect.flatMap(complete(chat({ model: "solo", stream: true, max_tokens: 100 })), (completion) =>
            Stream.runForEach(events(completion), (event) => Effect.sync(() => void seen.push(event)))
          )
        )
      )
    )
    yield* TestClock.adjust(forMs)
    const exit = yield* Fiber.join(fiber)
    const found = Exit.isFailure(exit) ? Cause.findError(exit.cause) : undefined
    return {
      seen,
      chunks: chunksOf(seen),
      ok: Exit.isSuccess(exit),
      error: found !== undefined && Result.isSuccess(found) ? keyOf(found.success) : undefined
    }
  })

const script = (rest: Rest, config = partial(), first = "De") =>
  make({ open: (call) => streaming(call, first, rest) }, config)

describe("promise 9 without partial answers", () => {
  it.effect("a stream that breaks off is an error, never a clean end", () => {
    const { layer, world } = script(broken(), configOf())
    return Effect.gen(function* () {
      const { chunks, error } = yield* read()
      assert.strictEqual(error, "ProviderError.Truncated")
      assert.strictEqual(chunks.length, 1)
      assert.deepStrictEqual([world.ended[0]?.outcome, world.ended[0]?.rung], ["ProviderError.Truncated", "full"])
      yield* balanced(world)
    }).pipe(Effect.provide(layer))
  })

  it.effect("a feature may say so for itself", () => {
    const { layer, world } = script(broken(), partial({}, { ledger: { partial: false } }))
    return Effect.gen(function* () {
      const { error } = yield* Effect.provideService(read(), CurrentCaller, Caller.make("a", { feature: "ledger" }))
      assert.strictEqual(error, "ProviderError.Truncated")
      yield* balanced(world)
    }).pipe(Effect.provide(layer))
  })
})

describe("a partial answer", () => {
  it.effect("ends with a finish reason, a banner and what is billed, which is what came", () => {
    const { layer, world } = script(Stream.concat(Stream.make(chunk("ep "), chunk("down")), broken()))
    return Effect.gen(function* () {
      const tokens = yield* TokenCounter
      const { chunks, ok, seen } = yield* read()
      assert.isTrue(ok)
      const [record] = world.ended
      const usage = Usage.make(record?.estimatedInput ?? 0, tokens.estimateText("solo", "Deep down".length))
      assert.deepStrictEqual(chunks.slice(3), [
        {
          id: "chatcmpl-1",
          object: "chat.completion.chunk",
          created: 0,
          model: "scripted",
          choices: [{ index: 0, delta: {}, finish_reason: "length" }],
          ballast: {
            partial: true,
            reason: "ProviderError.Truncated",
            message: "The answer broke off. The stream of provider 'one' ended before it was complete: cut",
            request_id: record?.id
          }
        },
        { id: "chatcmpl-1", object: "chat.completion.chunk", created: 0, model: "scripted", choices: [], usage }
      ])
      for (const event of seen) {
        if (event._tag === "Chunk") assert.deepStrictEqual(JSON.parse(event.data), event.chunk)
      }
      assert.deepStrictEqual(
        {
          outcome: record?.outcome,
          rung: record?.rung,
          reason: record?.degradedReason,
          usage: record?.usage,
          exact: record?.usageExact,
          cost: record?.cost,
          attempt: record?.attempts[0]?.outcome
        },
        {
          outcome: "ok",
          rung: "partial",
          reason: "ProviderError.Truncated",
          usage,
          exact: false,
          cost: usage.prompt_tokens + 2 * usage.completion_tokens,
          attempt: "ProviderError.Truncated"
        }
      )
      assert.deepStrictEqual(world.charges[0]?.settled, [usage.total_tokens])
      // The provider broke it, whatever the client got.
      assert.deepStrictEqual(world.verdicts, ["one/m1: succeed 0", "one/m1: fail"])
      yield* balanced(world)
    }).pipe(Effect.provide(layer))
  })

  it.effect("is billed by what the provider reported, where it did", () => {
    const usage = Usage.make(40, 8)
    const { layer, world } = script(
      Stream.concat(Stream.make(piece({ content: "ep" }, "stop"), chunk(usage)), broken())
    )
    return Effect.gen(function* () {
      const { chunks, ok } = yield* read()
      assert.isTrue(ok)
      assert.strictEqual(chunks.filter((each) => each.usage !== undefined && each.usage !== null).length, 1)
      // All was said but the end itself.
      assert.deepStrictEqual(chunks.at(-1)?.choices, [])
      assert.property(chunks.at(-1), "ballast")
      const [record] = world.ended
      assert.deepStrictEqual([record?.usage, record?.usageExact, record?.cost], [usage, true, 56])
      assert.deepStrictEqual(world.charges[0]?.settled, [48])
      yield* balanced(world)
    }).pipe(Effect.provide(layer))
  })

  it.effect("teaches the token counter nothing: it is our own count", () => {
    const { layer } = script(broken())
    let lessons = 0
    const counter = Layer.effect(
      TokenCounter,
      Effect.map(TokenCounter, (tokens) => TokenCounter.of({ ...tokens, learn: () => void lessons++ }))
    )
    return Effect.gen(function* () {
      const { ok } = yield* read()
      assert.deepStrictEqual([ok, lessons], [true, 0])
    }).pipe(Effect.provide(Layer.provideMerge(counter, layer)))
  })

  const reasons: ReadonlyArray<readonly [ErrorKey, Rest, Parameters<typeof configOf>[0], number]> = [
    ["ProviderError.Timeout", Stream.never, { timeouts: { idleMs: 1_000 } }, 1_100],
    [
      "ProviderError.Timeout",
      Stream.forever(Stream.fromEffect(Effect.delay(Effect.succeed(chunk("x")), 400))),
      { timeouts: { streamMs: 2_000, hardMs: 1_000, idleMs: 1_000 } },
      2_100
    ],
    ["ProviderError.BrokenFrame", broken({ _tag: "BrokenFrame", detail: "not JSON" }), {}, 10],
    ["ProviderError.StreamError", broken({ _tag: "StreamError", detail: "oops" }), {}, 10]
  ]
  reasons.forEach(([reason, rest, policies, byMs], index) =>
    it.effect(`says why it is one: ${reason} (${index})`, () => {
      const { layer, world } = script(rest, partial(policies))
      return Effect.gen(function* () {
        const { chunks, ok } = yield* read(byMs)
        assert.isTrue(ok)
        const banner = chunks.find((each) => each["ballast"] !== undefined)?.["ballast"]
        assert.deepInclude(banner, { partial: true, reason })
        assert.strictEqual(world.ended[0]?.degradedReason, reason)
        yield* balanced(world)
      }).pipe(Effect.provide(layer))
    })
  )

  it.effect("is none before the first word", () => {
    const { layer, world } = script(broken(), partial(), "")
    return Effect.gen(function* () {
      const { error } = yield* read()
      assert.strictEqual(error, "ProviderError.Truncated")
      yield* balanced(world)
    }).pipe(Effect.provide(layer))
  })

  it.effect("is none in the middle of a tool call: the client would run half a call", () => {
    const half = piece({ tool_calls: [{ index: 0, id: "a", function: { name: "f", arguments: '{"x"' } }] })
    const { layer, world } = script(Stream.concat(Stream.make(half), broken()))
    return Effect.gen(function* () {
      const { error } = yield* read()
      assert.strictEqual(error, "ProviderError.Truncated")
      yield* balanced(world)
    }).pipe(Effect.provide(layer))
  })

  it.effect("is none of the reader's own leaving", () => {
    const { layer, world } = script(Stream.never)
    return Effect.gen(function* () {
      const scope = yield* Scope.make()
      const completion = yield* Scope.provide(complete(chat({ model: "solo", stream: true })), scope)
      const fiber = yield* Effect.forkChild(Stream.runDrain(completion.rest))
      yield* TestClock.adjust(5)
      yield* Fiber.interrupt(fiber)
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual([world.ended[0]?.outcome, world.ended[0]?.rung], ["cancelled", "full"])
      yield* balanced(world)
    }).pipe(Effect.provide(layer))
  })
})
