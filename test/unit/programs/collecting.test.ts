/** Whole answers that may be partial: collected from streams, cut at the deadline, kept when nothing better comes. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as Caller from "../../../src/domain/caller.ts"
import type { ChatCompletion, ChatDelta } from "../../../src/domain/chat.ts"
import type { ProviderReason } from "../../../src/domain/errors.ts"
import * as Usage from "../../../src/domain/usage.ts"
import { collect } from "../../../src/programs/collect.ts"
import { complete } from "../../../src/programs/complete.ts"
import { CurrentCaller } from "../../../src/services/caller.ts"
import { Provider } from "../../../src/services/provider.ts"
import type { CompletionEvent } from "../../../src/services/provider.ts"
import { TokenCounter } from "../../../src/services/token-counter.ts"
import {
  balanced,
  chat,
  chunk,
  configOf,
  fail,
  make,
  overloaded,
  richRetries,
  streaming,
  whole
} from "../../support/scripted-ballast.ts"
import type { Call } from "../../support/scripted-ballast.ts"

const config = (policies: Parameters<typeof configOf>[0] = {}, features = {}) =>
  configOf({ retry: { maxRetries: 0, ...richRetries }, brownout: { partial: true }, ...policies }, { features })

const truncated: ProviderReason = { _tag: "Truncated", detail: "cut" }
const breaking = (call: Call, words: ReadonlyArray<Parameters<typeof chunk>[0]>, reason = truncated) =>
  streaming(call, "", Stream.concat(Stream.fromIterable(words.map(chunk)), Stream.fromEffect(fail(call, reason))))

/** A word now and one every `everyMs` after, for ever. */
const dripping = (call: Call, everyMs: number) =>
  streaming(
    call,
    "",
    Stream.forever(Stream.mapEffect(Stream.make("word "), (text) => Effect.delay(Effect.succeed(chunk(text)), everyMs)))
  )

/** A chunk of one choice. */
const piece = (delta: ChatDelta): CompletionEvent => {
  const value = {
    id: "c",
    object: "chat.completion.chunk" as const,
    created: 0,
    model: "m",
    choices: [{ index: 0, delta, finish_reason: null }]
  }
  return { _tag: "Chunk", chunk: value, data: JSON.stringify(value) }
}

const textOf = ({ choices }: ChatCompletion) => choices[0]?.message["content"]

const streamed = ({ request }: Call) => "chat" in request && request.chat.stream === true

/** One whole answer, within `byMs`. */
const answer = (byMs: number, model = "solo") =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(
      Effect.exit(
        Effect.scoped(
          Effect.flatMap(complete(chat({ model })), (completion) =>
            Effect.map(collect(completion), (body) => ({ completion, body }))
          )
        )
      )
    )
    yield* TestClock.adjust(byMs)
    return yield* Fiber.join(fiber)
  })

const got = <A, E>(exit: Exit.Exit<A, E>): A => (Exit.isSuccess(exit) ? exit.value : assert.fail(String(exit)))

describe("a whole answer of a caller that takes partial ones", () => {
  it.effect("is asked for as a stream and is whole all the same", () => {
    const { layer, world } = make(
      { open: (call) => streaming(call, "Deep ", Stream.make(chunk("down."), chunk(Usage.make(50, 3)))) },
      config()
    )
    return Effect.gen(function* () {
      const { body, completion } = got(yield* answer(10))
      assert.isTrue(world.calls.every(streamed))
      assert.strictEqual(completion.first._tag, "Whole")
      assert.notProperty(completion, "degraded")
      assert.notProperty(body, "ballast")
      assert.strictEqual(textOf(body), "Deep down.")
      assert.deepStrictEqual(body.usage, Usage.make(50, 3))
      const [record] = world.ended
      assert.deepStrictEqual(
        [record?.rung, record?.stream, record?.usageExact, record?.cost],
        ["full", false, true, 56]
      )
      yield* balanced(world)
    }).pipe(Effect.provide(layer))
  })

  it.effect("is counted by what came where the provider reports nothing", () => {
    const { layer, world } = make({ open: (call) => streaming(call, "Deep ", Stream.make(chunk("down."))) }, config())
    return Effect.gen(function* () {
      const tokens = yield* TokenCounter
      got(yield* answer(10))
      const [record] = world.ended
      assert.strictEqual(record?.usage?.completion_tokens, tokens.estimateText("solo", "Deep down.".length))
      assert.isFalse(record?.usageExact)
      yield* balanced(world)
    }).pipe(Effect.provide(layer))
  })

  it.effect("is counted by what came of a tool call, not by the JSON around it", () => {
    const args = '{"city":"Kiel"}'
    const { layer, world } = make(
      {
        open: (call) =>
          streaming(
            call,
            "",
            Stream.make(piece({ tool_calls: [{ index: 0, id: "a", function: { name: "f", arguments: args } }] }))
          )
      },
      config()
    )
    return Effect.gen(function* () {
      const tokens = yield* TokenCounter
      got(yield* answer(10))
      assert.strictEqual(world.ended[0]?.usage?.completion_tokens, tokens.estimateText("solo", args.length))
      yield* balanced(world)
    }).pipe(Effect.provide(layer))
  })

  it.effect("passes through where the provider gives it in one piece", () => {
    const { layer, world } = make({ open: whole }, config())
    return Effect.gen(function* () {
      assert.strictEqual(textOf(got(yield* answer(10)).body), "Deep.")
      yield* balanced(world)
    }).pipe(Effect.provide(layer))
  })

  it.effect("is asked for as it is by everybody else", () => {
    const { layer, world } = make({ open: whole }, config({}, { strict: { partial: false } }))
    return Effect.gen(function* () {
      got(yield* Effect.provideService(answer(10), CurrentCaller, Caller.make("acme", { feature: "strict" })))
      assert.isFalse(world.calls.some(streamed))
      yield* balanced(world)
    }).pipe(Effect.provide(layer))
  })
})

describe("at the deadline", () => {
  it.effect("what has come is the answer, billed by what has come", () => {
    const { layer, world } = make({ open: (call) => dripping(call, 1_000) }, config())
    return Effect.gen(function* () {
      const tokens = yield* TokenCounter
      const fiber = yield* Effect.forkChild(answer(8_050))
      const { body, completion } = got(yield* Fiber.join(fiber))
      assert.deepStrictEqual(completion.degraded, { rung: "partial", reason: "DeadlineError.Exceeded" })
      // It goes on past the 6 s that a first token may take.
      assert.include(["word ".repeat(7), "word ".repeat(8)], textOf(body))
      assert.strictEqual(body.choices[0]?.finish_reason, "length")
      const [record] = world.ended
      assert.deepInclude(body["ballast"], {
        partial: true,
        reason: "DeadlineError.Exceeded",
        request_id: record?.id
      })
      const text = String(textOf(body))
      const usage = Usage.make(record?.estimatedInput ?? 0, tokens.estimateText("solo", text.length))
      assert.deepStrictEqual(
        [record?.usage, record?.usageExact, record?.outcome, record?.rung],
        [usage, false, "ok", "partial"]
      )
      assert.deepStrictEqual(body.usage, usage)
      assert.deepStrictEqual(world.charges[0]?.settled, [usage.total_tokens])
      assert.strictEqual(record?.cost, usage.prompt_tokens + 2 * usage.completion_tokens)
      assert.strictEqual(record?.attempts[0]?.outcome, "DeadlineError.Exceeded")
      // The provider was slow, not broken.
      assert.isFalse(world.verdicts.some((verdict) => verdict.includes("fail")))
      assert.strictEqual(world.calls.length, 1)
      yield* balanced(world)
    }).pipe(Effect.provide(layer))
  })

  it.effect("nothing is no part: no first token", () => {
    const { layer, world } = make({ open: () => Effect.never }, config({ timeouts: { hardMs: 2_000 } }))
    return Effect.gen(function* () {
      assert.isTrue(Exit.isFailure(yield* answer(2_050)))
      assert.strictEqual(world.ended[0]?.outcome, "DeadlineError.Exceeded")
      assert.deepStrictEqual(world.verdicts, ["one/m1: cutShort 2000"])
      yield* balanced(world)
    }).pipe(Effect.provide(layer))
  })

  it.effect("nothing is no part: a role and no word", () => {
    const { layer, world } = make({ open: (call) => streaming(call, "", Stream.never) }, config())
    return Effect.gen(function* () {
      assert.isTrue(Exit.isFailure(yield* answer(8_050)))
      assert.strictEqual(world.ended[0]?.rung, "refused")
      yield* balanced(world)
    }).pipe(Effect.provide(layer))
  })

  it.effect("silence is cut before it", () => {
    const { layer, world } = make(
      { open: (call) => streaming(call, "word", Stream.never) },
      config({ timeouts: { idleMs: 500 } })
    )
    return Effect.gen(function* () {
      const { completion } = got(yield* answer(600))
      assert.deepStrictEqual(completion.degraded, { rung: "partial", reason: "ProviderError.Timeout" })
      assert.isAtMost(world.calls[0]?.closedAt ?? Infinity, 520)
      yield* balanced(world)
    }).pipe(Effect.provide(layer))
  })

  it.effect("a provider that keeps its own time is told the deadline", () => {
    const { layer, world } = make({ open: whole }, config())
    const provider = Layer.effect(
      Provider,
      Effect.map(Provider, (inner) => Provider.of({ ...inner, bounded: () => true }))
    )
    return Effect.gen(function* () {
      got(yield* answer(10))
      assert.deepStrictEqual(world.calls[0]?.request.bounds, { firstAtMs: 6_000, idleMs: 15_000, endsAtMs: 8_000 })
      yield* balanced(world)
    }).pipe(Effect.provide(Layer.provideMerge(provider, layer)))
  })
})

describe("an answer that breaks off", () => {
  it.effect("is tried again, for nobody has seen it", () => {
    const { layer, world } = make(
      { open: (call) => (call.n === 1 ? breaking(call, ["Half"]) : whole(call)) },
      config({ retry: { maxRetries: 1, ...richRetries } })
    )
    return Effect.gen(function* () {
      const { body, completion } = got(yield* answer(5_000))
      assert.strictEqual(textOf(body), "Deep.")
      assert.notProperty(completion, "degraded")
      assert.deepStrictEqual(world.verdicts[0], "one/m1: fail")
      yield* balanced(world)
    }).pipe(Effect.provide(layer))
  })

  it.effect("is the answer when nothing better comes: the longest of all, as its provider reported it", () => {
    const usage = Usage.make(70, 9)
    const { layer, world } = make(
      {
        open: (call) =>
          call.candidate.provider === "one" ? breaking(call, ["Half an ", "answer", usage]) : breaking(call, ["Hal"])
      },
      config()
    )
    return Effect.gen(function* () {
      const { body, completion } = got(yield* answer(5_000, "duo"))
      assert.deepStrictEqual(completion.candidate, { provider: "one", model: "m1" })
      assert.deepStrictEqual(completion.degraded, { rung: "partial", reason: "ProviderError.Truncated" })
      assert.strictEqual(textOf(body), "Half an answer")
      assert.strictEqual(body.choices[0]?.finish_reason, "length")
      const [record] = world.ended
      assert.deepStrictEqual([record?.usage, record?.usageExact, record?.cost, body.usage], [usage, true, 88, usage])
      assert.deepStrictEqual(world.charges[0]?.settled, [79])
      assert.deepStrictEqual(
        record?.attempts.map(({ outcome }) => outcome),
        ["ProviderError.Truncated", "ProviderError.Truncated"]
      )
      yield* balanced(world)
    }).pipe(Effect.provide(layer))
  })

  it.effect("is counted by what came where its provider had not reported it", () => {
    const { layer, world } = make({ open: (call) => breaking(call, ["Half"]) }, config())
    return Effect.gen(function* () {
      const tokens = yield* TokenCounter
      const { body } = got(yield* answer(5_000))
      const usage = Usage.make(tokens.estimate("solo", chat()), tokens.estimateText("solo", "Half".length))
      assert.isAbove(usage.prompt_tokens, 0)
      assert.deepStrictEqual([world.ended[0]?.usage, world.ended[0]?.usageExact, body.usage], [usage, false, usage])
      assert.deepStrictEqual(world.charges[0]?.settled, [usage.total_tokens])
      yield* balanced(world)
    }).pipe(Effect.provide(layer))
  })

  it.effect("is no answer where nothing of use had come", () => {
    const { layer, world } = make({ open: (call) => breaking(call, []) }, config())
    return Effect.gen(function* () {
      assert.isTrue(Exit.isFailure(yield* answer(5_000)))
      assert.deepStrictEqual([world.ended[0]?.outcome, world.ended[0]?.rung], ["ProviderError.Truncated", "refused"])
      yield* balanced(world)
    }).pipe(Effect.provide(layer))
  })

  it.effect("of a smaller model is billed at its price", () => {
    const price = { inputPerMillion: 1, outputPerMillion: 2 }
    const { layer, world } = make(
      {
        open: (call) =>
          call.candidate.provider === "one" ? fail(call, overloaded()) : breaking(call, ["Half", Usage.make(1_000, 10)])
      },
      configOf(
        { retry: { maxRetries: 0, ...richRetries }, brownout: { partial: true } },
        {
          models: [
            { alias: "large", candidates: ["one/large"], price, smaller: "small" },
            { alias: "small", candidates: ["two/small"], price: { inputPerMillion: 0.1, outputPerMillion: 0.2 } }
          ]
        }
      )
    )
    return Effect.gen(function* () {
      const { completion } = got(yield* answer(5_000, "large"))
      assert.strictEqual(completion.degraded?.rung, "partial")
      const [record] = world.ended
      assert.deepStrictEqual([record?.answeredBy, record?.cost], ["small", 102])
      yield* balanced(world)
    }).pipe(Effect.provide(layer))
  })

  it.effect("tool calls that are not whole are left out", () => {
    const call1 = { index: 0, id: "a", type: "function", function: { name: "f", arguments: '{"x":1}' } }
    const call2 = { index: 1, id: "b", type: "function", function: { name: "g", arguments: '{"y":' } }
    const { layer, world } = make(
      {
        open: (call) =>
          streaming(
            call,
            "",
            Stream.concat(
              Stream.make(piece({ tool_calls: [call1] }), piece({ tool_calls: [call2] })),
              Stream.fromEffect(fail(call, truncated))
            )
          )
      },
      config()
    )
    return Effect.gen(function* () {
      const tokens = yield* TokenCounter
      const { body } = got(yield* answer(5_000))
      assert.deepStrictEqual(body.choices[0]?.message["tool_calls"], [
        { id: "a", type: "function", function: { name: "f", arguments: '{"x":1}' } }
      ])
      // What was generated is billed, shown or not.
      const chars = call1.function.arguments.length + call2.function.arguments.length
      assert.strictEqual(world.ended[0]?.usage?.completion_tokens, tokens.estimateText("solo", chars))
      yield* balanced(world)
    }).pipe(Effect.provide(layer))
  })
})
