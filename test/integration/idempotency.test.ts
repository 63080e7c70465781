/**
 * `Idempotency-Key` through the whole server: one run for each key, its answer
 * for whoever comes again, and a free key after everything that is no answer.
 */
import { randomUUID } from "node:crypto"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Redacted } from "effect"
import type { BallastConfigInput } from "../../src/domain/config-file.ts"
import * as IdempotencyRedis from "../../src/layers/idempotency/redis.ts"
import * as RedisClient from "../../src/layers/redis/client.ts"
import * as StoreHealth from "../../src/layers/store-health/memory.ts"
import * as Wheel from "../../src/layers/timers/wheel.ts"
import * as FaultServer from "../support/fault-server.ts"
import * as Client from "../support/raw-client.ts"
import * as Redis from "../support/redis.ts"
import * as Upstream from "../support/scripted-upstream.ts"
import type { ScriptedCall } from "../support/scripted-upstream.ts"
import { before, boot, chunksOf, openaiClient, until } from "../support/server.ts"
import * as Answers from "../support/upstream-answers.ts"

type Handle = (call: ScriptedCall, index: number) => void

const free = { requestsPerMinute: 1_000_000 }
const policies: NonNullable<BallastConfigInput["policies"]> = {
  rateLimits: { user: free, ip: free, global: free },
  retry: { maxRetries: 0 },
  breaker: { minimumCalls: 1_000 }
}

/** Answers as it was asked, each time another thing. */
const good: Handle = (call, index) => {
  if (JSON.parse(call.body).stream !== true)
    return Answers.json(call, Answers.completion({ content: `answer ${index}` }))
  Answers.stream(call, [
    Answers.chunk({ content: `answer ${index}` }),
    Answers.chunk({ content: " é🎈" }),
    Answers.chunk({}, "stop"),
    Answers.usageChunk
  ])
}

const start = (handle: Handle = good, rest: BallastConfigInput = {}) =>
  Effect.gen(function* () {
    const upstream = yield* Upstream.start(handle)
    const server = yield* FaultServer.start(
      FaultServer.upstreamAt(upstream.origin, { ...rest, policies: { ...policies, ...rest.policies } })
    )
    return { upstream, server }
  })

const chat = (rest: object = {}) => ({ model: "m", messages: [{ role: "user", content: "Hi" }], ...rest })

const ask = (url: string, key: string, body: object = chat(), headers: Record<string, string> = {}) =>
  Client.send(url, { body, headers: { "idempotency-key": key, ...headers } })

const codeOf = ({ text }: Client.Answer): unknown => JSON.parse(text).error.code
const replayed = ({ headers }: Client.Answer): boolean => headers["idempotency-replayed"] === "true"

describe("a request with an Idempotency-Key", () => {
  it.live("runs once; the same again has the same answer under a request id of its own", () =>
    Effect.gen(function* () {
      const { server, upstream } = yield* start()
      const key = randomUUID()
      const first = yield* ask(server.url, key)
      const again = yield* ask(server.url, key)
      assert.strictEqual(first.status, 200)
      assert.isFalse(replayed(first))
      assert.isTrue(replayed(again))
      assert.strictEqual(again.status, 200)
      assert.strictEqual(again.text, first.text)
      for (const name of ["content-type", "content-length", "x-llm-model", "x-llm-provider", "x-llm-answer"]) {
        assert.strictEqual(again.headers[name], first.headers[name], name)
      }
      assert.notStrictEqual(again.headers["x-request-id"], first.headers["x-request-id"])
      assert.notProperty(again.headers, "x-llm-cost-usd")
      assert.strictEqual(upstream.calls.length, 1)
      // Without a key, and with another, it runs.
      yield* Client.send(server.url, { body: chat() })
      yield* ask(server.url, randomUUID())
      assert.strictEqual(upstream.calls.length, 3)
      yield* FaultServer.atRest(server)
    })
  )

  it.live("streams the same again to a stock client", () =>
    Effect.gen(function* () {
      const { server, upstream } = yield* start()
      const client = openaiClient(server)
      const headers = { "idempotency-key": "one" }
      const create = () =>
        chunksOf(() =>
          client.chat.completions.create(
            {
              model: "m",
              messages: [{ role: "user", content: "Hi" }],
              stream: true,
              stream_options: { include_usage: true }
            },
            { headers }
          )
        )
      const first = yield* create()
      const again = yield* create()
      assert.isAbove(first.length, 3)
      assert.deepStrictEqual(again, first)
      assert.strictEqual(upstream.calls.length, 1)
      yield* FaultServer.atRest(server)
    })
  )

  it.live("replays embeddings too, and an answer of either kind never for the other", () =>
    Effect.gen(function* () {
      const { server, upstream } = yield* start((call) =>
        Answers.json(call, {
          object: "list",
          model: "e",
          data: [{ object: "embedding", index: 0, embedding: [0.5] }],
          usage: { prompt_tokens: 1, total_tokens: 1 }
        })
      )
      const request = { path: "/v1/embeddings", body: { model: "e", input: "a" }, headers: { "idempotency-key": "k" } }
      const first = yield* Client.send(server.url, request)
      const again = yield* Client.send(server.url, request)
      assert.strictEqual(first.status, 200, first.text)
      assert.isTrue(replayed(again))
      assert.strictEqual(again.text, first.text)
      assert.strictEqual((yield* ask(server.url, "k")).status, 422)
      assert.strictEqual(upstream.calls.length, 1)
    })
  )

  it.live("costs nothing the second time: no limit, no place, no money", () =>
    Effect.gen(function* () {
      const limits = { user: { requestsPerMinute: 2 }, ip: free, global: free }
      const named = { "x-ballast-user": "u" }
      const { server } = yield* start(good, { policies: { rateLimits: limits } })
      assert.strictEqual((yield* ask(server.url, "k", chat(), named)).status, 200)
      // Until the limit is used up.
      yield* until(
        Effect.suspend(() => ask(server.url, randomUUID(), chat(), named)),
        ({ status }) => status === 429
      )
      const spent = yield* server.metric("llm_cost_usd_total")
      assert.isAbove(spent, 0)
      for (let at = 0; at < 5; at++) assert.isTrue(replayed(yield* ask(server.url, "k", chat(), named)))
      assert.strictEqual(yield* server.metric("llm_cost_usd_total"), spent)
      yield* FaultServer.atRest(server)
    })
  )

  it.live("is refused while the first one runs, and says when to come again", () =>
    Effect.gen(function* () {
      const { server, upstream } = yield* start((call) => Answers.begin(call, [Answers.chunk({ content: "slow" })]))
      const first = yield* Client.open(server.url, {
        body: chat({ stream: true }),
        headers: { "idempotency-key": "k" }
      })
      const call = yield* upstream.nextCall
      const second = yield* ask(server.url, "k", chat({ stream: true }))
      assert.strictEqual(second.status, 409)
      assert.strictEqual(codeOf(second), "idempotency_key_in_flight")
      assert.strictEqual(second.headers["x-should-retry"], "true")
      assert.isAtLeast(Number(second.headers["retry-after"]), 1)
      assert.strictEqual((yield* ask(server.url, "k", chat({ stream: true, n: 2 }))).status, 422)
      call.response.write(`data: ${JSON.stringify(Answers.chunk({}, "stop"))}\n\n`)
      call.response.end("data: [DONE]\n\n")
      const { text } = yield* first.end
      const again = yield* ask(server.url, "k", chat({ stream: true }))
      assert.isTrue(replayed(again))
      assert.strictEqual(again.text, text)
      assert.include(again.text, "slow")
      assert.strictEqual(upstream.calls.length, 1)
    })
  )

  it.live("is refused with another body, once and for all", () =>
    Effect.gen(function* () {
      const { server, upstream } = yield* start()
      yield* ask(server.url, "k")
      const other = yield* ask(server.url, "k", chat({ temperature: 0 }))
      assert.strictEqual(other.status, 422)
      assert.strictEqual(codeOf(other), "idempotency_key_reused")
      assert.strictEqual(other.headers["x-should-retry"], "false")
      assert.strictEqual(upstream.calls.length, 1)
    })
  )

  it.live("has a key that is its tenant's own", () =>
    Effect.gen(function* () {
      const keys = { acme: "k-acme-0123456789abcdef", gold: "k-gold-0123456789abcdef" }
      const upstream = yield* Upstream.start(good)
      const config: BallastConfigInput = {
        policies,
        auth: {
          mode: "keys",
          keys: [
            { key: { env: "ACME" }, tenant: "acme" },
            { key: { env: "GOLD" }, tenant: "gold" }
          ]
        }
      }
      const server = yield* FaultServer.start(FaultServer.upstreamAt(upstream.origin, config), {
        ACME: keys.acme,
        GOLD: keys.gold
      })
      const of = (key: string) => ask(server.url, "k", chat(), { authorization: `Bearer ${key}` })
      const acme = yield* of(keys.acme)
      const gold = yield* of(keys.gold)
      assert.strictEqual(acme.status, 200, acme.text)
      assert.isFalse(replayed(gold))
      assert.notStrictEqual(gold.text, acme.text)
      assert.strictEqual((yield* of(keys.acme)).text, acme.text)
      assert.strictEqual((yield* of(keys.gold)).text, gold.text)
      // Without a key of a tenant there is nothing to be had.
      const nobody = yield* ask(server.url, "k")
      assert.strictEqual(nobody.status, 401)
      assert.strictEqual(upstream.calls.length, 2)
    })
  )

  it.live("must have a key of 1 to 255 visible characters", () =>
    Effect.gen(function* () {
      const { server, upstream } = yield* start()
      for (const key of ["", "k".repeat(256), "two words", "k\t", "clé"]) {
        const answer = yield* ask(server.url, key)
        // Blanks around a value are no part of it.
        if (key === "k\t") {
          assert.strictEqual(answer.status, 200)
          continue
        }
        assert.strictEqual(answer.status, 400, JSON.stringify(key))
        assert.strictEqual(codeOf(answer), "invalid_idempotency_key")
      }
      assert.strictEqual((yield* ask(server.url, "k".repeat(255))).status, 200)
      assert.strictEqual(upstream.calls.length, 2)
    })
  )

  it.live("has the same refusal again where the request itself is wrong", () =>
    Effect.gen(function* () {
      const { server, upstream } = yield* start((call) =>
        Answers.json(call, Answers.errorOf("no such tool", { type: "invalid_request_error", code: "bad_tool" }), 400)
      )
      const first = yield* ask(server.url, "k")
      const again = yield* ask(server.url, "k")
      assert.strictEqual(first.status, 400)
      assert.deepStrictEqual([again.status, again.text, replayed(again)], [400, first.text, true])
      assert.strictEqual(again.headers["x-should-retry"], "false")
      assert.strictEqual(upstream.calls.length, 1)
    })
  )

  const once =
    (wrong: Handle): Handle =>
    (call, index) =>
      (index === 0 ? wrong : good)(call, index)
  const cases: ReadonlyArray<readonly [string, Handle, boolean]> = [
    ["refuses for want of capacity", (call) => Answers.json(call, Answers.errorOf("slow down"), 429), false],
    ["fails", (call) => Answers.json(call, Answers.errorOf("oops"), 500), false],
    ["fails before a stream", (call) => Answers.json(call, Answers.errorOf("oops"), 503), true],
    [
      "cuts a whole answer",
      (call) => void call.response.writeHead(200, { "content-length": 100 }).write("{", () => call.socket.destroy()),
      false
    ],
    [
      "cuts a stream",
      (call) => {
        Answers.begin(call, [Answers.chunk({ content: "half" })])
        call.response.write(":\n\n", () => call.socket.destroy())
      },
      true
    ],
    [
      "ends a stream too early",
      (call) => {
        Answers.begin(call, [Answers.chunk({ content: "half" })])
        call.response.end()
      },
      true
    ]
  ]
  it.live.each(cases)("runs again where the provider %s", ([, wrong, stream]) =>
    Effect.gen(function* () {
      const { server, upstream } = yield* start(once(wrong))
      const body = chat({ stream })
      const first = yield* ask(server.url, "k", body)
      assert.notInclude(first.text, "[DONE]")
      const second = yield* ask(server.url, "k", body)
      assert.isFalse(replayed(second))
      assert.strictEqual(second.status, 200, second.text)
      assert.include(second.text, "answer 1")
      assert.isTrue(replayed(yield* ask(server.url, "k", body)))
      assert.strictEqual(upstream.calls.length, 2)
      yield* FaultServer.atRest(server)
    })
  )

  it.live("frees its key when the client leaves, before the answer and in the middle of it", () =>
    Effect.gen(function* () {
      const { server, upstream } = yield* start((call, index) => {
        if (index === 1) Answers.begin(call, [Answers.chunk({ content: "half" })])
        if (index > 1) good(call, index)
      })
      const body = chat({ stream: true })
      for (const at of [0, 1]) {
        const call = yield* Client.open(server.url, { body, headers: { "idempotency-key": "k" } })
        yield* upstream.nextCall
        if (at === 1) yield* call.until("half")
        assert.strictEqual((yield* ask(server.url, "k", body)).status, 409)
        yield* call.leave
        yield* FaultServer.atRest(server)
      }
      const answer = yield* ask(server.url, "k", body)
      assert.strictEqual(answer.status, 200)
      assert.include(answer.text, "answer 2")
      assert.isTrue(replayed(yield* ask(server.url, "k", body)))
    })
  )

  it.live("is refused like any other for what is wrong before it begins, and its key stays free", () =>
    Effect.gen(function* () {
      const { server, upstream } = yield* start()
      assert.strictEqual((yield* ask(server.url, "k", { model: "m" })).status, 400)
      assert.strictEqual((yield* ask(server.url, "k", chat({ model: "unknown" }))).status, 404)
      const answer = yield* ask(server.url, "k")
      assert.strictEqual(answer.status, 200)
      assert.isFalse(replayed(answer))
      assert.strictEqual(upstream.calls.length, 1)
    })
  )
})

/** Idempotency over a Redis, as one process has it. */
const over = (url: string, prefix: string): Layer.Layer<never> =>
  // The swap gives one service more; the server finds it in the context.
  IdempotencyRedis.layer({ leaseMs: 600 }).pipe(
    Layer.provide(RedisClient.layer({ url: Redacted.make(url), cluster: false, prefix, timeoutMs: 500, safety: 0.8 })),
    Layer.provide(StoreHealth.layer),
    Layer.provide(Wheel.layer)
  ) as Layer.Layer<never>

describe.skipIf(!Redis.available)("two servers on one Redis", () => {
  it.live("run a key once between them, and stream its answer from either", () =>
    Effect.gen(function* () {
      const { prefix, url } = yield* Redis.redis
      const upstream = yield* Upstream.start(good)
      const config = before(upstream.origin)
      const one = yield* boot({ config, swap: over(url, prefix) })
      const two = yield* boot({ config, swap: over(url, prefix) })
      const body = { model: "chat", messages: [{ role: "user", content: "Hi" }], stream: true }
      const first = yield* ask(one.url, "k", body)
      assert.include(first.text, "[DONE]")
      // Nobody waits for the store: the other may still see it run for a moment.
      const { value } = yield* until(ask(two.url, "k", body), ({ status }) => status !== 409)
      assert.isTrue(replayed(value))
      assert.strictEqual(value.text, first.text)
      assert.strictEqual((yield* ask(two.url, "k", { ...body, n: 2 })).status, 422)
      assert.strictEqual(upstream.calls.length, 1)
      const chunks = yield* chunksOf(() =>
        openaiClient(two).chat.completions.create(
          { model: "chat", messages: [{ role: "user", content: "Hi" }], stream: true },
          { headers: { "idempotency-key": "k" } }
        )
      )
      assert.strictEqual(chunks.map(({ choices }) => choices[0]?.delta.content ?? "").join(""), "answer 0 é🎈")
      assert.strictEqual(upstream.calls.length, 1)
    })
  )
})
