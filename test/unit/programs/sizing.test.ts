/** How much a request asks for, and what is refused because it cannot fit. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import type { ChatRequest } from "../../../src/domain/chat.ts"
import type { Model } from "../../../src/domain/catalog.ts"
import type { CompleteError } from "../../../src/domain/errors.ts"
import * as Request from "../../../src/programs/request.ts"
import * as Sizing from "../../../src/programs/sizing.ts"
import { TokenCounter } from "../../../src/services/token-counter.ts"
import { chat, make } from "../../support/scripted-ballast.ts"

const model: Model = {
  alias: "small",
  kind: "chat",
  candidates: [{ provider: "one", model: "m1" }],
  price: { input: 1, output: 1 },
  contextTokens: 10_000,
  maxOutputTokens: 4_000
}

/** A counter that says so many, and counts how often it had to count exactly. */
const counting = (estimate: number, exact: number) => {
  const state = { exact: 0 }
  const layer = Layer.succeed(TokenCounter, {
    estimate: () => estimate,
    estimateEmbedding: () => estimate,
    estimateText: () => 0,
    exact: () =>
      Effect.sync(() => {
        state.exact++
        return exact
      }),
    learn: () => {}
  })
  return { state, layer: Layer.merge(make({}).layer, layer) }
}

const sized = (request: ChatRequest, of: Partial<Model> = {}) =>
  Effect.scoped(
    Request.run("chat", (running): Effect.Effect<readonly [Sizing.Size, Request.Request], CompleteError> =>
      Effect.map(Sizing.ofChat(running, { ...model, ...of }, request), (size) => [size, running] as const)
    )
  )

const sizeOf = (...given: Parameters<typeof sized>) => Effect.map(sized(...given), ([size]) => size)

describe("Sizing.ofChat", () => {
  it.effect("trusts the estimate far from the limit, and writes it down", () => {
    const { layer, state } = counting(100, 90)
    return Effect.gen(function* () {
      const [size, { record }] = yield* sized(chat({ max_tokens: 50, stream: true }))
      assert.deepStrictEqual(size, { input: 100, output: 50 })
      assert.strictEqual(state.exact, 0)
      assert.deepInclude(record, { model: "small", stream: true, estimatedInput: 100 })
    }).pipe(Effect.provide(layer))
  })

  const outputs: ReadonlyArray<readonly [string, Partial<ChatRequest>, number]> = [
    ["nothing said: 1,024", {}, 1_024],
    ["max_tokens", { max_tokens: 7 }, 7],
    ["max_completion_tokens before max_tokens", { max_tokens: 7, max_completion_tokens: 9 }, 9],
    ["null is nothing said", { max_tokens: null, max_completion_tokens: null, n: null }, 1_024],
    ["no more than the model can", { max_tokens: 9_000 }, 4_000],
    ["for each of n answers", { max_tokens: 10, n: 3 }, 30]
  ]
  for (const [name, request, output] of outputs) {
    it.effect(`output: ${name}`, () => {
      const { layer } = counting(10, 10)
      return Effect.gen(function* () {
        assert.deepStrictEqual(yield* sizeOf(chat(request)), { input: 10, output })
      }).pipe(Effect.provide(layer))
    })
  }

  it.effect("counts exactly near the limit, and lets through what fits", () => {
    const { layer, state } = counting(8_000, 9_500)
    return Effect.gen(function* () {
      const [size, { record }] = yield* sized(chat({ max_tokens: 500 }))
      assert.deepStrictEqual(size, { input: 9_500, output: 500 })
      assert.strictEqual(record.estimatedInput, 9_500)
      assert.strictEqual(state.exact, 1)
    }).pipe(Effect.provide(layer))
  })

  it.effect("refuses what cannot fit by one token, and says how much it was", () => {
    const { layer, state } = counting(8_000, 9_501)
    return Effect.gen(function* () {
      const error = yield* Effect.flip(sizeOf(chat({ max_tokens: 500 })))
      assert.deepStrictEqual(error.reason, { _tag: "ContextTooLong", model: "small", tokens: 10_001, limit: 10_000 })
      assert.isDefined(error.requestId)
      assert.strictEqual(state.exact, 1)
    }).pipe(Effect.provide(layer))
  })

  it.effect("an estimate that is too high refuses nobody", () => {
    const { layer } = counting(20_000, 5_000)
    return Effect.gen(function* () {
      assert.deepStrictEqual(yield* sizeOf(chat({ max_tokens: 500 })), { input: 5_000, output: 500 })
    }).pipe(Effect.provide(layer))
  })

  it.effect("an assumed output shrinks to what is left", () => {
    const { layer } = counting(9_800, 9_800)
    return Effect.gen(function* () {
      assert.deepStrictEqual(yield* sizeOf(chat()), { input: 9_800, output: 200 })
    }).pipe(Effect.provide(layer))
  })

  it.effect("where the context is exactly full of prompt, not even an assumed answer fits", () => {
    const { layer } = counting(10_000, 10_000)
    return Effect.gen(function* () {
      const error = yield* Effect.flip(sizeOf(chat()))
      assert.strictEqual(error.reason._tag, "ContextTooLong")
    }).pipe(Effect.provide(layer))
  })
})

describe("Sizing.fit", () => {
  it.effect("sizes for another model than the one that was asked for", () => {
    const { layer } = counting(100, 90)
    return Effect.gen(function* () {
      const record = yield* Effect.scoped(
        Request.run("chat", (running): Effect.Effect<Request.Request["record"], CompleteError> => {
          running.record.model = "asked"
          return Effect.map(Sizing.fit(running, model, chat({ max_tokens: 5 })), (size) => {
            assert.deepStrictEqual(size, { input: 100, output: 5 })
            return running.record
          })
        })
      )
      assert.deepInclude(record, { model: "asked", estimatedInput: 100 })
    }).pipe(Effect.provide(layer))
  })
})

describe("Sizing.ofEmbedding", () => {
  it.effect("is the estimate, without a limit", () => {
    const { layer, state } = counting(50_000, 1)
    return Effect.gen(function* () {
      const [tokens, record] = yield* Effect.scoped(
        Request.run("embeddings", (running) =>
          Effect.succeed([Sizing.ofEmbedding(running, model, { model: "small", input: "x" }), running.record] as const)
        )
      )
      assert.strictEqual(tokens, 50_000)
      assert.deepInclude(record, { model: "small", estimatedInput: 50_000 })
      assert.strictEqual(state.exact, 0)
    }).pipe(Effect.provide(layer))
  })
})
