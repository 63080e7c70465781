/** What the stock `openai` package makes of the lower rungs of the brownout ladder: it reads each of them as an answer or an error of its own. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { InternalServerError } from "openai"
import type { ChatCompletionMessageParam } from "openai/resources"
import type { BallastConfigInput } from "../../src/domain/config-file.ts"
import { boot, bootBeforeSim, openaiClient, quickSim, rejection, transparent } from "../support/server.ts"

const messages: Array<ChatCompletionMessageParam> = [{ role: "user", content: "Hello" }]
const ask = { model: "chat", messages }

const refusal = { message: "Our AI provider is down; we are on it.", link: "https://status.example.com" }
const policies: NonNullable<BallastConfigInput["policies"]> = {
  ...transparent,
  brownout: { partial: true, refusal }
}

/** The request's vendor fields, which the package sends on but does not know. */
const cut = { sim: { fault: { kind: "cut", afterChunks: 4 } } }

/** What the banner says, for code that looks for it. */
const bannerOf = (value: object): unknown => ("ballast" in value ? value.ballast : undefined)

describe("a partial stream", () => {
  it.live("is a stream that ends, with a finish reason and a banner", () =>
    Effect.gen(function* () {
      const server = yield* bootBeforeSim(quickSim, { policies })
      const seen = yield* Effect.promise(async () => {
        const request = { ...ask, stream: true as const, stream_options: { include_usage: true }, ...cut }
        let text = ""
        let finish: string | null = null
        let banner: unknown
        let tokens = 0
        for await (const chunk of await openaiClient(server).chat.completions.create(request)) {
          text += chunk.choices[0]?.delta.content ?? ""
          finish = chunk.choices[0]?.finish_reason ?? finish
          banner ??= bannerOf(chunk)
          tokens = chunk.usage?.completion_tokens ?? tokens
        }
        return { text, finish, banner, tokens }
      })
      assert.isNotEmpty(seen.text)
      assert.strictEqual(seen.finish, "length")
      assert.deepInclude(seen.banner, {
        partial: true,
        reason: "ProviderError.Truncated",
        help: refusal.message,
        help_url: refusal.link
      })
      assert.isAbove(seen.tokens, 0)
    })
  )

  it.live("is put together by the package's own stream helper", () =>
    Effect.gen(function* () {
      const server = yield* bootBeforeSim(quickSim, { policies })
      const completion = yield* Effect.promise(() =>
        openaiClient(server)
          .chat.completions.stream({ ...ask, ...cut })
          .finalChatCompletion()
      )
      assert.strictEqual(completion.choices[0]?.finish_reason, "length")
      assert.isNotEmpty(completion.choices[0]?.message.content)
    })
  )
})

describe("a partial whole answer", () => {
  it.live("is a completion with a finish reason, a price and a banner", () =>
    Effect.gen(function* () {
      const server = yield* bootBeforeSim(quickSim, { policies })
      const { data, response } = yield* Effect.promise(() =>
        openaiClient(server)
          .chat.completions.create({ ...ask, ...cut })
          .withResponse()
      )
      assert.strictEqual(data.object, "chat.completion")
      assert.strictEqual(data.choices[0]?.finish_reason, "length")
      assert.isNotEmpty(data.choices[0]?.message.content)
      assert.isAbove(data.usage?.completion_tokens ?? 0, 0)
      assert.deepInclude(bannerOf(data), { partial: true, reason: "ProviderError.Truncated" })
      assert.strictEqual(response.headers.get("x-llm-answer"), "partial")
      assert.strictEqual(response.headers.get("x-llm-degraded-reason"), "ProviderError.Truncated")
      assert.isAbove(Number(response.headers.get("x-llm-cost-usd")), 0)
    })
  )
})

describe("a refusal", () => {
  it.live("is the package's own error, with the operator's words in its message and the link in its body", () =>
    Effect.gen(function* () {
      const server = yield* boot({
        config: { providers: { up: { kind: "sim", sim: { ...quickSim, faults: [{ kind: "outage" }] } } }, policies }
      })
      const error = yield* rejection(() => openaiClient(server).chat.completions.create(ask))
      assert.instanceOf(error, InternalServerError)
      assert.strictEqual(error.status, 503)
      assert.strictEqual(error.code, "server_is_overloaded")
      assert.include(error.message, refusal.message)
      const body: unknown = error.error
      assert.deepInclude(body, { help: refusal.message, help_url: refusal.link, request_id: error.requestID })
      assert.strictEqual(error.headers?.get("x-llm-answer"), "refused")
      assert.strictEqual(error.headers?.get("x-should-retry"), "true")
    })
  )
})
