/** The stock `openai` package against the running server, over real sockets. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { APIError, APIUserAbortError } from "openai"
import { makeParseableResponseFormat } from "openai/lib/parser"
import type { ChatCompletionCreateParamsNonStreaming, ChatCompletionMessageParam } from "openai/resources"
import * as Upstream from "../support/scripted-upstream.ts"
import * as Answers from "../support/upstream-answers.ts"
import { before, boot, bootBeforeSim, chunksOf, openaiClient, rejection, until } from "../support/server.ts"

const messages: Array<ChatCompletionMessageParam> = [{ role: "user", content: "Hello" }]
const ask = { model: "chat", messages }

const tools = [
  {
    type: "function" as const,
    function: {
      name: "look",
      parameters: { type: "object", properties: { at: { type: "string" } }, required: ["at"] }
    }
  }
]

describe("chat", () => {
  it.live("answers, with the id of the request", () =>
    Effect.gen(function* () {
      const openai = openaiClient(yield* boot())
      const { data, request_id, response } = yield* Effect.promise(() =>
        openai.chat.completions.create({ ...ask, sim: { text: "Ahoy there" } } as typeof ask).withResponse()
      )
      assert.strictEqual(data.choices[0]?.message.content, "Ahoy there")
      assert.strictEqual(data.choices[0]?.finish_reason, "stop")
      assert.strictEqual(data.usage?.total_tokens, data.usage!.prompt_tokens + data.usage!.completion_tokens)
      assert.match(request_id ?? "", /^req_[0-9a-f]{24}$/)
      assert.strictEqual(response.headers.get("x-llm-attempts"), "1")
    })
  )

  it.live("answers at a base URL without /v1 too", () =>
    Effect.gen(function* () {
      const { url } = yield* boot()
      const openai = openaiClient({ url }, { baseURL: url })
      assert.isString((yield* Effect.promise(() => openai.chat.completions.create(ask))).choices[0]?.message.content)
      assert.strictEqual((yield* Effect.promise(() => openai.models.list())).data.length, 2)
      const embed = { model: "embed", input: "x" }
      assert.strictEqual((yield* Effect.promise(() => openai.embeddings.create(embed))).data.length, 1)
    })
  )

  it.live("streams the same text as it answers whole", () =>
    Effect.gen(function* () {
      const openai = openaiClient(yield* bootBeforeSim())
      const whole = yield* Effect.promise(() => openai.chat.completions.create(ask))
      const chunks = yield* chunksOf(() => openai.chat.completions.create({ ...ask, stream: true }))
      assert.strictEqual(
        chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join(""),
        whole.choices[0]?.message.content
      )
      assert.strictEqual(chunks.at(-1)?.choices[0]?.finish_reason, "stop")
      assert.isAbove(chunks.length, 4)
    })
  )

  it.live("sends the token counts of a stream to who asked for them, and to nobody else", () =>
    Effect.gen(function* () {
      const upstream = yield* Upstream.start((call) =>
        Answers.stream(call, [Answers.chunk({ content: "hi" }), Answers.chunk({}, "stop"), Answers.usageChunk])
      )
      const openai = openaiClient(yield* boot({ config: before(upstream.origin) }))
      const streamed = (options: object) =>
        chunksOf(() => openai.chat.completions.create({ ...ask, ...options, stream: true }))
      const told = yield* streamed({ stream_options: { include_usage: true } })
      assert.deepStrictEqual(told.at(-1)?.choices, [])
      assert.strictEqual(told.at(-1)?.usage?.total_tokens, 12)
      for (const options of [{}, { stream_options: { include_usage: false } }, { stream_options: null }]) {
        const untold = yield* streamed(options)
        assert.deepStrictEqual(
          untold.map(({ choices }) => choices[0]?.delta),
          [{ content: "hi" }, {}]
        )
      }
      // The provider was asked for them each time: the gateway meters by them.
      for (const { body } of upstream.calls) assert.isTrue(JSON.parse(body).stream_options.include_usage)
    })
  )

  it.live("forwards each field as it came: tools, images, formats, vendor fields", () =>
    Effect.gen(function* () {
      const upstream = yield* Upstream.start((call) => Answers.json(call, Answers.completion({ content: "ok" })))
      const openai = openaiClient(yield* boot({ config: before(upstream.origin) }))
      const request = {
        model: "chat",
        messages: [
          { role: "developer", content: "Be brief.", cache_control: { type: "ephemeral" } },
          {
            role: "user",
            content: [
              { type: "text", text: 'Grüße, 世界 \u2028 "quoted"' },
              { type: "image_url", image_url: { url: "data:image/png;base64,iVBORw0KGgo=", detail: "low" } },
              { type: "input_audio", input_audio: { data: "UklGRg==", format: "wav" } }
            ]
          },
          {
            role: "assistant",
            content: null,
            tool_calls: [{ id: "c", type: "function", function: { name: "look", arguments: "{}" } }]
          },
          { role: "tool", tool_call_id: "c", content: "done" }
        ],
        tools,
        tool_choice: { type: "function", function: { name: "look" } },
        parallel_tool_calls: false,
        response_format: {
          type: "json_schema",
          json_schema: { name: "answer", strict: true, schema: { type: "object" } }
        },
        logit_bias: { 50256: -100 },
        seed: 12_345_678_901,
        metadata: { model: "not the model" },
        vendor_extension: { nested: [1, null, { deep: true }] },
        top_k: 40
      }
      yield* Effect.promise(() =>
        openai.chat.completions.create(request as unknown as ChatCompletionCreateParamsNonStreaming)
      )
      assert.deepStrictEqual(JSON.parse(upstream.calls[0]?.body ?? ""), { ...request, model: "upstream-chat" })
    })
  )

  it.live("gives unknown fields of an answer back as they came", () =>
    Effect.gen(function* () {
      const answer = {
        ...Answers.completion({ content: "x", reasoning_content: "hm" }),
        system_fingerprint: "fp",
        vendor: [1]
      }
      const upstream = yield* Upstream.start((call) => Answers.json(call, answer))
      const openai = openaiClient(yield* boot({ config: before(upstream.origin) }))
      const { _request_id, ...body } = yield* Effect.promise(() => openai.chat.completions.create(ask))
      assert.deepStrictEqual(body, answer as unknown as typeof body)
    })
  )

  it.live("gives tool calls back, whole and streamed", () =>
    Effect.gen(function* () {
      const openai = openaiClient(yield* bootBeforeSim())
      const request = { ...ask, tools, tool_choice: "required" as const }
      const whole = yield* Effect.promise(() => openai.chat.completions.create(request))
      assert.strictEqual(whole.choices[0]?.finish_reason, "tool_calls")
      const streamed = yield* Effect.promise(() => openai.chat.completions.stream(request).finalChatCompletion())
      const [one, two] = [whole, streamed].map(({ choices }) => choices[0]?.message.tool_calls?.[0])
      assert(one?.type === "function" && two?.type === "function")
      assert.strictEqual(one.function.name, "look")
      assert.isString(JSON.parse(one.function.arguments).at)
      assert.strictEqual(two.function.arguments, one.function.arguments)
    })
  )

  it.live("parses structured output", () =>
    Effect.gen(function* () {
      const openai = openaiClient(yield* bootBeforeSim())
      const schema = {
        type: "object",
        properties: { city: { type: "string" }, population: { type: "integer", minimum: 7 } },
        required: ["city", "population"]
      }
      const response_format = makeParseableResponseFormat(
        { type: "json_schema", json_schema: { name: "city", strict: true, schema } },
        (content): { readonly city: string; readonly population: number } => JSON.parse(content)
      )
      const answer = yield* Effect.promise(() => openai.chat.completions.parse({ ...ask, response_format }))
      assert.isString(answer.choices[0]?.message.parsed?.city)
      assert.strictEqual(answer.choices[0]?.message.parsed?.population, 7)
    })
  )
})

describe("embeddings and models", () => {
  it.live("embeds one and many, as floats and base64, in the dimensions asked for", () =>
    Effect.gen(function* () {
      const openai = openaiClient(yield* bootBeforeSim())
      const create = (rest: object) =>
        Effect.promise(() => openai.embeddings.create({ model: "embed", input: ["anchor", "ballast"], ...rest }))
      // Without a format the client itself asks for base64 and decodes it.
      const decoded = yield* create({})
      const floats = yield* create({ encoding_format: "float" })
      assert.strictEqual(decoded.data.length, 2)
      assert.deepStrictEqual(
        decoded.data.map(({ index }) => index),
        [0, 1]
      )
      for (const [at, { embedding }] of floats.data.entries()) {
        assert.strictEqual(embedding.length, 8)
        assert.deepStrictEqual(Array.from(Float32Array.from(embedding)), Array.from(decoded.data[at]?.embedding ?? []))
      }
      const raw = yield* create({ encoding_format: "base64" })
      assert.isString(raw.data[0]?.embedding)
      assert.strictEqual((yield* create({ dimensions: 5 })).data[0]?.embedding.length, 5)
      assert.isAbove(floats.usage.total_tokens, 0)
    })
  )

  it.live("lists and retrieves models, names with slashes too", () =>
    Effect.gen(function* () {
      const price = { inputPerMillion: 0 }
      const models = ["chat", "vendor/chat"].map((alias) => ({
        alias,
        price,
        candidates: ["up/m"] as [string]
      }))
      const server = yield* boot({ config: { models } })
      const openai = openaiClient(server)
      const list = yield* Effect.promise(() => openai.models.list())
      assert.deepStrictEqual(
        list.data.map(({ id }) => id),
        ["chat", "vendor/chat"]
      )
      for (const id of ["chat", "vendor/chat"]) {
        const model = yield* Effect.promise(() => openai.models.retrieve(id))
        assert.strictEqual(model.id, id)
        assert.strictEqual(model.object, "model")
      }
      // Clients that build URLs by hand do not escape the slash; and an id of the client's own comes back.
      const plain = yield* Effect.promise(() =>
        fetch(`${server.url}/v1/models/vendor/chat`, { headers: { "x-request-id": "mine-1" } })
      )
      assert.deepStrictEqual([plain.status, plain.headers.get("x-request-id")], [200, "mine-1"])
      const unknown = yield* rejection(() => openai.models.retrieve("nope"))
      assert(unknown instanceof APIError)
      assert.deepStrictEqual([unknown.status, unknown.code, unknown.param], [404, "model_not_found", "model"])
      assert.isString(unknown.requestID)
    })
  )
})

const abortController = () => new AbortController()

describe("a client that leaves", () => {
  for (const [name, sim] of [
    ["before the first token", { ttftMs: 60_000 }],
    ["in the middle of a stream", { ttftMs: 1, perTokenMs: 5, outputTokens: 10_000 }]
  ] as const) {
    it.live(`${name}: the provider's call ends within 100 ms, and nothing stays behind`, () =>
      Effect.gen(function* () {
        const server = yield* bootBeforeSim()
        const openai = openaiClient(server)
        const controller = abortController()
        const running = Effect.map(server.sim.control.stats, (stats) => stats.running)
        const reading = rejection(async () => {
          const stream = await openai.chat.completions.create(
            { ...ask, stream: true, sim } as typeof ask & { stream: true },
            { signal: controller.signal }
          )
          let chunks = 0
          for await (const _ of stream) if (++chunks === 3) controller.abort()
          // The client ends its own iteration quietly.
          throw new APIUserAbortError()
        })
        const leaving =
          sim.ttftMs === 1
            ? Effect.void
            : Effect.tap(
                until(running, (count) => count === 1),
                () => Effect.sync(() => controller.abort())
              )
        const [error] = yield* Effect.all([reading, leaving], { concurrency: 2 })
        assert.instanceOf(error, APIUserAbortError)
        const { afterMs } = yield* until(running, (count) => count === 0)
        assert.isBelow(afterMs, 100)
        yield* until(server.active, (count) => count === 0)
        assert.strictEqual((yield* server.sim.control.stats).abandoned, 1)
      })
    )
  }
})
