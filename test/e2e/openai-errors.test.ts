/** What the stock `openai` package makes of our errors: its classes, its retries, its streams that break. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger } from "effect"
import {
  APIError,
  AuthenticationError,
  BadRequestError,
  InternalServerError,
  NotFoundError,
  RateLimitError
} from "openai"
import type { ChatCompletionMessageParam } from "openai/resources"
import * as Errors from "../../src/domain/errors.ts"
import type { FaultInput } from "../../src/layers/provider/sim/options.ts"
import { Provider } from "../../src/services/provider.ts"
import * as RateLimiter from "../../src/services/rate-limiter.ts"
import { boot, bootBeforeSim, openaiClient, quickSim, rejection, transparent, until } from "../support/server.ts"

const messages: Array<ChatCompletionMessageParam> = [{ role: "user", content: "Hello" }]
const ask = { model: "chat", messages }

const reject = (status: number): FaultInput => ({ kind: "reject", status })

const bug = () => Effect.die(new Error("secret prompt"))

type ErrorClass = new (...args: Array<never>) => APIError

/** The error of one request with these fields. */
const failing = (server: { readonly url: string }, rest: object = {}) =>
  Effect.map(
    rejection(() => openaiClient(server).chat.completions.create({ ...ask, ...rest })),
    (error) => {
      assert(error instanceof APIError)
      return error
    }
  )

describe("error classes", () => {
  it.live("of bad requests: 400 with the param, nothing asked of the provider", () =>
    Effect.gen(function* () {
      const server = yield* bootBeforeSim()
      const table: ReadonlyArray<readonly [object, string | null]> = [
        [{ messages: [] }, "messages"],
        [{ max_tokens: -1 }, "max_tokens"],
        [{ temperature: "hot" }, "temperature"],
        [{ messages: [{ role: "pirate", content: "x" }] }, "messages[0].role"],
        [{ messages: "Hello" }, "messages"],
        [{ n: 0 }, "n"],
        [{ model: "embed" }, "model"],
        [{ max_tokens: 1_000_000 }, "messages"]
      ]
      for (const [fields, param] of table) {
        const error = yield* failing(server, fields)
        assert.instanceOf(error, BadRequestError, JSON.stringify(fields))
        assert.strictEqual(error.param, param)
        assert.strictEqual(error.type, "invalid_request_error")
        assert.match(error.requestID ?? "", /^req_/)
        assert.strictEqual(error.headers?.get("x-should-retry"), "false")
      }
      assert.strictEqual((yield* server.sim.control.stats).calls, 0)
    })
  )

  // The encoder for the provider meets the end of the stack where it cannot forward the text as it came.
  it.live("of a request too deeply nested to be sent on: 400, not a bug of ours", () =>
    Effect.gen(function* () {
      const server = yield* bootBeforeSim()
      const deep = `${"[".repeat(100_000)}${"]".repeat(100_000)}`
      const { status } = yield* Effect.promise(() =>
        fetch(`${server.url}/v1/chat/completions`, {
          method: "POST",
          body: `{"model":"chat","messages":[{"role":"user","content":"\\u0048i"}],"x":${deep}}`
        })
      )
      assert.strictEqual(status, 400)
    })
  )

  it.live("of wrong keys: 401, and a known key is served", () =>
    Effect.gen(function* () {
      const server = yield* boot({
        config: { auth: { mode: "keys", keys: [{ key: { env: "A_KEY" }, tenant: "a" }] } },
        env: { A_KEY: "sk-right" }
      })
      const wrong = openaiClient(server, { apiKey: "sk-wrong" })
      for (const call of [
        () => wrong.chat.completions.create(ask),
        () => wrong.models.list(),
        () => wrong.embeddings.create({ model: "embed", input: "x" })
      ]) {
        const error = yield* rejection(call)
        assert(error instanceof AuthenticationError)
        assert.strictEqual(error.code, "invalid_api_key")
        assert.match(error.requestID ?? "", /^req_/)
        assert.notInclude(error.message, "sk-")
      }
      const right = openaiClient(server, { apiKey: "sk-right" })
      assert.isString((yield* Effect.promise(() => right.chat.completions.create(ask))).id)
    })
  )

  it.live("of unknown models and URLs: 404", () =>
    Effect.gen(function* () {
      const server = yield* boot()
      const error = yield* failing(server, { model: "gpt-17" })
      assert.instanceOf(error, NotFoundError)
      assert.deepStrictEqual([error.code, error.param], ["model_not_found", "model"])
      const url = yield* rejection(() => openaiClient(server).responses.create({ model: "chat", input: "x" }))
      assert(url instanceof NotFoundError)
      assert.strictEqual(url.code, "unknown_url")
      assert.match(url.requestID ?? "", /^req_/)
    })
  )

  it.live("of what the provider does", () =>
    Effect.gen(function* () {
      const server = yield* bootBeforeSim()
      const table: ReadonlyArray<readonly [FaultInput, ErrorClass, number]> = [
        [reject(400), BadRequestError, 400],
        [reject(401), InternalServerError, 502],
        [reject(403), InternalServerError, 502],
        [reject(404), InternalServerError, 502],
        [reject(429), RateLimitError, 429],
        [{ ...reject(429), code: "insufficient_quota" } as FaultInput, RateLimitError, 429],
        [reject(500), InternalServerError, 502],
        [reject(503), InternalServerError, 503],
        [reject(529), InternalServerError, 503],
        [{ kind: "refuse" }, InternalServerError, 502],
        [{ kind: "cut" }, InternalServerError, 502],
        [{ kind: "broken-frame" }, InternalServerError, 502]
      ]
      for (const [fault, type, status] of table) {
        const error = yield* failing(server, { sim: { fault } })
        assert.isTrue(error instanceof type, JSON.stringify(fault))
        assert.strictEqual(error.status, status, JSON.stringify(fault))
        assert.match(error.requestID ?? "", /^req_/)
        assert.include(["true", "false"], error.headers?.get("x-should-retry"))
      }
    })
  )

  it.live("of our own bugs: 500, and nothing of the request in it", () =>
    Effect.gen(function* () {
      const logged: Array<string> = []
      const logger = Logger.layer([Logger.map(Logger.formatJson, (line) => void logged.push(line))])
      const server = yield* boot({ swap: Layer.merge(logger, Layer.succeed(Provider, { open: bug, embed: bug })) })
      for (const stream of [true, false]) {
        const error = yield* failing(server, { stream })
        assert.instanceOf(error, InternalServerError)
        assert.deepStrictEqual([error.status, error.code], [500, "internal_error"])
        assert.notInclude(JSON.stringify(error), "secret")
        assert.strictEqual(error.headers?.get("x-should-retry"), "false")
        // The log tells where it happened, under the same id.
        const line = logged.at(-1) ?? ""
        assert.include(line, error.requestID ?? "none")
        assert.include(line, "openai-errors.test.ts")
        assert.notInclude(line, "secret")
      }
    })
  )
})

/** A limiter that refuses the first `refusals` requests, and when each came. */
const refusing = (refusals: number, reason: Errors.RateLimitError["reason"]) => {
  const at: Array<number> = []
  const layer = Layer.succeed(
    RateLimiter.RateLimiter,
    RateLimiter.make(() => () => {
      at.push(performance.now())
      return at.length <= refusals
        ? Effect.fail(new Errors.RateLimitError({ reason }))
        : Effect.succeed({ states: [], settle: () => {}, release: () => {} })
    })
  )
  return { at, layer }
}

describe("retries of the client", () => {
  it.live("come when we say so, and succeed", () =>
    Effect.gen(function* () {
      const { at, layer } = refusing(2, {
        _tag: "Exceeded",
        dimension: "user",
        unit: "requests",
        limit: 1,
        windowMs: 60_000,
        retryAfterMs: 80
      })
      const openai = openaiClient(yield* boot({ swap: layer }), { maxRetries: 2 })
      const answer = yield* Effect.promise(() => openai.chat.completions.create(ask))
      assert.strictEqual(answer.object, "chat.completion")
      assert.strictEqual(at.length, 3)
      for (const [first = 0, second = 0] of [at.slice(0, 2), at.slice(1)]) {
        assert.isAtLeast(second - first, 80)
        // Its own first pause would have been at least 375 ms.
        assert.isBelow(second - first, 300)
      }
    })
  )

  it.live("do not come where we say that they are of no use", () =>
    Effect.gen(function* () {
      const { at, layer } = refusing(9, {
        _tag: "NeverFits",
        dimension: "user",
        unit: "tokens",
        limit: 1,
        asked: 2
      })
      const openai = openaiClient(yield* boot({ swap: layer }), { maxRetries: 2 })
      assert.instanceOf(yield* rejection(() => openai.chat.completions.create(ask)), BadRequestError)
      assert.strictEqual(at.length, 1)
    })
  )

  it.live("do not come for a switched-off feature, although it is a 503", () =>
    Effect.gen(function* () {
      const { at, layer } = refusing(0, { _tag: "NeverFits", dimension: "user", unit: "tokens", limit: 1, asked: 2 })
      const server = yield* boot({ config: { killSwitches: [{ kind: "all", note: "at sea" }] }, swap: layer })
      let calls = 0
      const counted: typeof fetch = (...args) => {
        calls++
        return fetch(...args)
      }
      const openai = openaiClient(server, { maxRetries: 2, fetch: counted })
      const error = yield* rejection(() => openai.chat.completions.create(ask))
      assert(error instanceof InternalServerError)
      assert.deepStrictEqual([error.status, error.code, calls, at.length], [503, "feature_disabled", 1, 0])
      assert.include(error.message, "at sea")
    })
  )

  it.live("do not multiply ours: where we have retried, the client is told not to", () =>
    Effect.gen(function* () {
      const server = yield* bootBeforeSim(
        { ...quickSim, faults: [{ kind: "reject", status: 500 }] },
        { policies: { ...transparent, retry: { maxRetries: 2, baseMs: 1 } } }
      )
      const openai = openaiClient(server, { maxRetries: 2 })
      const error = yield* rejection(() => openai.chat.completions.create(ask))
      assert(error instanceof InternalServerError)
      assert.strictEqual(error.headers?.get("x-should-retry"), "false")
      assert.strictEqual((yield* server.sim.control.stats).calls, 3)
    })
  )

  it.live("wait at least as long as an overloaded provider asked for", () =>
    Effect.gen(function* () {
      const server = yield* bootBeforeSim({
        ...quickSim,
        faults: [{ kind: "outage", status: 429, retryAfterMs: 120, toMs: 100 }]
      })
      const openai = openaiClient(server, { maxRetries: 1 })
      const began = performance.now()
      assert.strictEqual((yield* Effect.promise(() => openai.chat.completions.create(ask))).object, "chat.completion")
      assert.isAtLeast(performance.now() - began, 120)
      assert.strictEqual((yield* server.sim.control.stats).calls, 2)
    })
  )
})

describe("a stream that breaks", () => {
  for (const kind of ["cut", "broken-frame", "stream-error"] as const) {
    it.live(`by ${kind}: the text so far, then an error, never a clean end`, () =>
      Effect.gen(function* () {
        const openai = openaiClient(yield* bootBeforeSim(), { maxRetries: 2 })
        let text = ""
        const error = yield* rejection(async () => {
          const stream = await openai.chat.completions.create({
            ...ask,
            stream: true,
            sim: { text: "one two three four", fault: { kind, afterChunks: 3 } }
          } as typeof ask & { stream: true })
          for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? ""
        })
        assert(error instanceof APIError)
        assert.match(String(error.code), /^upstream_/)
        assert.isAbove(text.length, 0)
        assert.isTrue("one two three four".startsWith(text))
      })
    )
  }

  it.live("by silence: an error after the idle limit", () =>
    Effect.gen(function* () {
      const server = yield* bootBeforeSim(quickSim, { policies: { ...transparent, timeouts: { idleMs: 50 } } })
      const error = yield* rejection(async () => {
        const stream = await openaiClient(server).chat.completions.create({
          ...ask,
          stream: true,
          sim: { fault: { kind: "stall", afterChunks: 2 } }
        } as typeof ask & { stream: true })
        for await (const _ of stream);
      })
      assert(error instanceof APIError)
      assert.strictEqual(error.code, "upstream_timeout")
      const running = Effect.map(server.sim.control.stats, (stats) => stats.running)
      assert.isBelow((yield* until(running, (count) => count === 0)).afterMs, 100)
    })
  )
})
