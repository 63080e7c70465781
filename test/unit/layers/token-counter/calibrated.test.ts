import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import type { ChatRequest } from "../../../../src/domain/chat.ts"
import * as TokenCounterCalibrated from "../../../../src/layers/token-counter/calibrated.ts"
import { TokenCounter } from "../../../../src/services/token-counter.ts"

const model = "small"
const prose =
  "Customers keep asking about their invoices, and the answer has to come before they lose patience. ".repeat(20)
const chat = (messages: ChatRequest["messages"], more: Partial<ChatRequest> = {}): ChatRequest => ({
  model,
  messages,
  ...more
})
const image = (detail: string) => ({ type: "image_url", image_url: { url: "data:...", detail } })
const one = chat([{ role: "user", content: prose }])

const effect = <A, E>(title: string, test: Effect.Effect<A, E, TokenCounter>) =>
  it.effect(title, () => Effect.provide(test, TokenCounterCalibrated.layer))

describe("TokenCounter: calibrated", () => {
  effect(
    "estimates within half of the exact count for prose",
    Effect.gen(function* () {
      const counter = yield* TokenCounter
      const exact = yield* counter.exact(one)
      assert.isAbove(exact, 300)
      assert.approximately(counter.estimate(model, one), exact, exact / 2)
    })
  )

  effect(
    "counts text parts, messages, tools, tool calls, response formats and media",
    Effect.gen(function* () {
      const counter = yield* TokenCounter
      const size = (request: ChatRequest) => counter.estimate(model, request)
      const plain = size(one)
      assert.strictEqual(size(chat([{ role: "user", content: [{ type: "text", text: prose }] }])), plain)
      assert.isAtLeast(size(chat([{ role: "system", content: "x" }, ...one.messages])), plain + 4)
      const tool = { type: "function", function: { name: "weather", description: prose } }
      assert.isAbove(size(chat(one.messages, { tools: [tool] })), plain * 1.8)
      assert.isAbove(size(chat(one.messages, { response_format: { type: "json_schema", note: prose } })), plain * 1.8)
      assert.isAbove(size(chat([...one.messages, { role: "assistant", tool_calls: [tool] }])), plain * 1.8)
      const withPart = (part: { type: string }) => size(chat([{ role: "user", content: [part] }]))
      const empty = size(chat([{ role: "user", content: "" }]))
      assert.strictEqual(withPart(image("high")) - empty, 765)
      assert.strictEqual(withPart(image("low")) - empty, 85)
      assert.strictEqual(withPart({ type: "input_audio" }) - empty, 500)
      assert.strictEqual(size(chat([{ role: "assistant", content: null }])), empty)
    })
  )

  effect(
    "embedding inputs: texts by estimate, token ids as they are",
    Effect.gen(function* () {
      const counter = yield* TokenCounter
      const size = (input: string | Array<string> | Array<number> | Array<Array<number>>) =>
        counter.estimateEmbedding(model, { model, input })
      assert.approximately(size([prose, prose]), 2 * size(prose), 1)
      assert.strictEqual(size([1, 2, 3]), 3)
      assert.strictEqual(size([[1, 2], [3]]), 3)
    })
  )

  effect(
    "learns each model's ratio and stays between a half and two",
    Effect.gen(function* () {
      const counter = yield* TokenCounter
      const before = counter.estimate(model, one)
      const answers = (factor: number, count: number) => {
        for (let i = 0; i < count; i++) {
          const estimated = counter.estimate(model, one)
          counter.learn(model, estimated, Math.round(before * factor))
        }
      }
      answers(1.5, 8)
      assert.approximately(counter.estimate(model, one), before * 1.5, 3)
      assert.strictEqual(counter.estimate("other", one), before)
      for (let i = 0; i < 40; i++) {
        yield* TestClock.adjust("10 seconds")
        answers(0.7, 8)
      }
      assert.approximately(counter.estimate(model, one), before * 0.7, 3)
      for (let i = 0; i < 40; i++) {
        yield* TestClock.adjust("10 seconds")
        answers(1_000, 8)
      }
      assert.approximately(counter.estimate(model, one), before * 2, 3)
    })
  )

  effect(
    "a thousand answers to estimates of before do not make it overshoot",
    Effect.gen(function* () {
      const counter = yield* TokenCounter
      const estimated = counter.estimate(model, one)
      for (let i = 0; i < 1_000; i++) counter.learn(model, estimated, Math.round(estimated * 1.3))
      assert.approximately(counter.estimate(model, one), estimated * 1.3, 3)
    })
  )

  effect(
    "nonsense teaches nothing",
    Effect.gen(function* () {
      const counter = yield* TokenCounter
      const before = counter.estimate(model, one)
      for (const [estimated, reported] of [
        [0, 10],
        [10, 0],
        [NaN, 10],
        [10, NaN],
        [10, Infinity],
        [-1, 5]
      ] as const) {
        for (let i = 0; i < 20; i++) counter.learn(model, estimated, reported)
      }
      assert.strictEqual(counter.estimate(model, one), before)
      assert.strictEqual(counter.estimateText(model, 400), 100)
      assert.strictEqual(counter.estimateText(model, -5), 0)
    })
  )
})
