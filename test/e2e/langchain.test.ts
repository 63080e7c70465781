/** LangChain's OpenAI classes against the running server. */
import { assert, describe, it } from "@effect/vitest"
import { ChatOpenAI, OpenAIEmbeddings } from "@langchain/openai"
import { Effect } from "effect"
import * as Connections from "../support/connections.ts"
import { boot, bootBeforeSim, chunksOf, quickSim, rejection } from "../support/server.ts"

const settings = (server: { readonly url: string }) => ({
  apiKey: "any",
  maxRetries: 0,
  configuration: { baseURL: `${server.url}/v1` }
})

const chatOf = (server: { readonly url: string }, model = "chat") => new ChatOpenAI({ ...settings(server), model })

// The declared type of the usage differs between the package's ways of making a model.
const outputTokens = (message: { readonly usage_metadata?: unknown }): number | undefined =>
  (message.usage_metadata as { readonly output_tokens: number } | undefined)?.output_tokens

const look = {
  type: "function" as const,
  function: {
    name: "look",
    description: "Look somewhere",
    parameters: { type: "object", properties: { at: { type: "string" } }, required: ["at"] }
  }
}

describe("@langchain/openai", () => {
  it.live("invokes and streams the same text, and touches no other host", () =>
    Effect.gen(function* () {
      const hosts = yield* Connections.outside
      const chat = chatOf(yield* bootBeforeSim())
      const whole = yield* Effect.promise(() => chat.invoke("Hello"))
      assert.isString(whole.content)
      assert.isAbove(outputTokens(whole) ?? 0, 0)
      const chunks = yield* chunksOf(() => chat.stream("Hello"))
      assert.strictEqual(chunks.map(({ content }) => content).join(""), whole.content)
      assert.include(chunks.map(outputTokens), outputTokens(whole))
      assert.deepStrictEqual(hosts, [])
    })
  )

  it.live("calls tools, whole and streamed", () =>
    Effect.gen(function* () {
      const chat = chatOf(yield* bootBeforeSim()).bindTools([look], { tool_choice: "required" })
      const whole = yield* Effect.promise(() => chat.invoke("Hello"))
      assert.strictEqual(whole.tool_calls?.[0]?.name, "look")
      assert.isString(whole.tool_calls?.[0]?.args["at"])
      const [first, ...others] = yield* chunksOf(() => chat.stream("Hello"))
      const streamed = others.reduce((sum, chunk) => sum?.concat(chunk), first)
      assert.deepStrictEqual(streamed?.tool_calls?.[0]?.args, whole.tool_calls?.[0]?.args)
    })
  )

  it.live("embeds", () =>
    Effect.gen(function* () {
      const embeddings = new OpenAIEmbeddings({ ...settings(yield* boot()), model: "embed" })
      const [one, two] = yield* Effect.promise(() => embeddings.embedDocuments(["anchor", "ballast"]))
      assert.deepStrictEqual(one, yield* Effect.promise(() => embeddings.embedQuery("anchor")))
      assert.strictEqual(two?.length, 8)
    })
  )

  it.live("meets our errors: unknown models, and a stream that breaks", () =>
    Effect.gen(function* () {
      const server = yield* bootBeforeSim({ ...quickSim, faults: [{ kind: "cut", afterChunks: 3 }] })
      const unknown = yield* rejection(() => chatOf(server, "nope").invoke("Hello"))
      assert(unknown instanceof Error)
      assert.propertyVal(unknown, "code", "model_not_found")
      let text = ""
      const broken = yield* rejection(async () => {
        for await (const { content } of await chatOf(server).stream("Hello")) text += String(content)
      })
      assert(broken instanceof Error)
      assert.propertyVal(broken, "code", "upstream_truncated")
      assert.isAbove(text.length, 0)
    })
  )
})
