/** The AI SDK (`ai` with `@ai-sdk/openai-compatible`) against the running server. */
import { createOpenAICompatible } from "@ai-sdk/openai-compatible"
import { assert, describe, it } from "@effect/vitest"
import {
  APICallError,
  Output,
  RetryError,
  embed,
  embedMany,
  generateText,
  jsonSchema,
  stepCountIs,
  streamText,
  tool
} from "ai"
import { Effect } from "effect"
import type { SimOptionsInput } from "../../src/layers/provider/sim/options.ts"
import * as Connections from "../support/connections.ts"
import { boot, bootBeforeSim, chunksOf, openaiClient, quickSim, rejection } from "../support/server.ts"

const providerOf = (server: { readonly url: string }) =>
  createOpenAICompatible({
    name: "ballast",
    baseURL: `${server.url}/v1`,
    apiKey: "any",
    includeUsage: true,
    supportsStructuredOutputs: true
  })

const city = jsonSchema<{ readonly city: string; readonly population: number }>({
  type: "object",
  properties: { city: { type: "string" }, population: { type: "integer", minimum: 7 } },
  required: ["city", "population"],
  additionalProperties: false
})

const prompt = "Hello"

describe("ai", () => {
  it.live("generates and streams the same text, and touches no other host", () =>
    Effect.gen(function* () {
      const hosts = yield* Connections.outside
      const server = yield* bootBeforeSim()
      const model = providerOf(server)("chat")
      const whole = yield* Effect.promise(() => generateText({ model, prompt }))
      assert.strictEqual(whole.finishReason, "stop")
      assert.isAbove(whole.usage.outputTokens ?? 0, 0)
      const streamed = streamText({ model, prompt })
      const pieces = yield* chunksOf(() => Promise.resolve(streamed.textStream))
      assert.strictEqual(pieces.join(""), whole.text)
      assert.isAbove(pieces.length, 2)
      assert.deepStrictEqual(
        (yield* Effect.promise(async () => await streamed.usage)).outputTokens,
        whole.usage.outputTokens
      )
      assert.deepStrictEqual(hosts, [])
    })
  )

  it.live("generates structured output", () =>
    Effect.gen(function* () {
      const model = providerOf(yield* bootBeforeSim())("chat")
      const { output } = yield* Effect.promise(() =>
        generateText({ model, prompt, output: Output.object({ schema: city }) })
      )
      assert.isString(output.city)
      assert.strictEqual(output.population, 7)
    })
  )

  it.live("calls tools and gets their results sent on", () =>
    Effect.gen(function* () {
      const server = yield* bootBeforeSim()
      const asked: Array<unknown> = []
      const look = tool({
        description: "Look somewhere",
        inputSchema: jsonSchema<{ readonly at: string }>({
          type: "object",
          properties: { at: { type: "string" } },
          required: ["at"]
        }),
        execute: (input) => {
          asked.push(input.at)
          return { seen: "a ship" }
        }
      })
      const answer = yield* Effect.promise(() =>
        generateText({
          model: providerOf(server)("chat"),
          prompt,
          tools: { look },
          toolChoice: "required",
          stopWhen: stepCountIs(2)
        })
      )
      assert.strictEqual(answer.steps.length, 2)
      assert.strictEqual(answer.steps[0]?.toolCalls[0]?.toolName, "look")
      assert.isString(asked[0])
      assert.strictEqual((yield* server.sim.control.stats).calls, 2)
    })
  )

  it.live("embeds one and many", () =>
    Effect.gen(function* () {
      const server = yield* boot()
      const model = providerOf(server).embeddingModel("embed")
      const one = yield* Effect.promise(() => embed({ model, value: "anchor" }))
      const many = yield* Effect.promise(() => embedMany({ model, values: ["anchor", "ballast"] }))
      assert.strictEqual(one.embedding.length, 8)
      assert.deepStrictEqual(many.embeddings[0], one.embedding)
      assert.strictEqual(many.embeddings.length, 2)
      const other = yield* Effect.promise(() =>
        openaiClient(server).embeddings.create({ model: "embed", input: "anchor", encoding_format: "float" })
      )
      assert.deepStrictEqual(other.data[0]?.embedding, one.embedding)
    })
  )
})

const down = (fault: NonNullable<SimOptionsInput["faults"]>[number]): SimOptionsInput => ({
  ...quickSim,
  faults: [fault]
})

describe("ai, refused", () => {
  it.live("tries again when we say so, and succeeds", () =>
    Effect.gen(function* () {
      const server = yield* bootBeforeSim(down({ kind: "outage", status: 429, retryAfterMs: 150, toMs: 100 }))
      const began = performance.now()
      const { text } = yield* Effect.promise(() => generateText({ model: providerOf(server)("chat"), prompt }))
      const tookMs = performance.now() - began
      assert.isAbove(text.length, 0)
      assert.strictEqual((yield* server.sim.control.stats).calls, 2)
      assert.isAtLeast(tookMs, 150)
      // Its own first pause is 2 s.
      assert.isBelow(tookMs, 1_500)
    })
  )

  it.live("understands our error bodies", () =>
    Effect.gen(function* () {
      const server = yield* bootBeforeSim()
      const provider = providerOf(server)
      const unknown = yield* rejection(() => generateText({ model: provider("nope"), prompt }))
      assert(APICallError.isInstance(unknown))
      assert.strictEqual(unknown.statusCode, 404)
      assert.include(unknown.message, "The model 'nope' does not exist")
      assert.isFalse(unknown.isRetryable)
      assert.match(unknown.responseHeaders?.["x-request-id"] ?? "", /^req_/)
      assert.strictEqual(unknown.responseHeaders?.["x-should-retry"], "false")
      assert.strictEqual((yield* server.sim.control.stats).calls, 0)
    })
  )

  it.live("gives up after its own retries", () =>
    Effect.gen(function* () {
      const server = yield* bootBeforeSim(down({ kind: "outage", status: 429, retryAfterMs: 5 }))
      const error = yield* rejection(() => generateText({ model: providerOf(server)("chat"), prompt, maxRetries: 1 }))
      assert(RetryError.isInstance(error))
      assert.strictEqual((yield* server.sim.control.stats).calls, 2)
    })
  )

  it.live("sees an error where a stream breaks", () =>
    Effect.gen(function* () {
      const server = yield* bootBeforeSim(down({ kind: "cut", afterChunks: 3 }))
      const { stream } = streamText({ model: providerOf(server)("chat"), prompt, onError: () => {} })
      const parts = yield* chunksOf(() => Promise.resolve(stream))
      assert.isTrue(parts.some(({ type }) => type === "text-delta"))
      assert.isTrue(parts.some(({ type }) => type === "error"))
      assert.isFalse(parts.some((part) => part.type === "finish" && part.finishReason === "stop"))
    })
  )
})
