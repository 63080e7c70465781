/**
 * What works with no setup at all, and what a few lines of configuration
 * change: as an operator starts it, in a process of its own.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Default from "../../src/domain/config-default.ts"
import type { BallastConfigInput } from "../../src/domain/config-file.ts"
import * as ChildServer from "../support/child-server.ts"
import * as FaultServer from "../support/fault-server.ts"
import * as Client from "../support/raw-client.ts"

const chat = (rest: object = {}) => ({
  model: "sim-chat",
  messages: [{ role: "user", content: "Hi" }],
  max_tokens: 8,
  ...rest
})

describe("ballast serve, with nothing", { timeout: 30_000 }, () => {
  it.live("answers chat, streams, embeddings and models, with no key and no network", () =>
    Effect.gen(function* () {
      const server = yield* ChildServer.start()
      // A busy machine may take some seconds; more would be something that waits.
      assert.isBelow(server.startedInMs, 15_000)

      const answer = yield* Client.send(server.url, { body: chat() })
      assert.strictEqual(answer.status, 200, answer.text)
      const completion = JSON.parse(answer.text)
      assert.strictEqual(completion.object, "chat.completion")
      assert.isAbove(completion.choices[0].message.content.length, 0)
      assert.isAbove(completion.usage.completion_tokens, 0)

      const stream = yield* Client.send(server.url, { body: chat({ stream: true }) })
      assert.strictEqual(stream.status, 200)
      assert.match(String(stream.headers["content-type"]), /^text\/event-stream/u)
      const frames = Client.frames(stream.text)
      assert.strictEqual(frames.at(-1), "[DONE]")
      assert.isAbove(frames.length, 3)
      for (const frame of frames.slice(0, -1)) assert.strictEqual(JSON.parse(frame).object, "chat.completion.chunk")

      const embedded = yield* Client.send(server.url, {
        path: "/v1/embeddings",
        body: { model: "sim-embed", input: ["a", "b"] }
      })
      assert.strictEqual(embedded.status, 200, embedded.text)
      assert.lengthOf(JSON.parse(embedded.text).data, 2)

      const models = yield* Client.send(server.url, { path: "/v1/models" })
      const names: ReadonlyArray<string> = JSON.parse(models.text).data.map(({ id }: { readonly id: string }) => id)
      assert.includeMembers([...names], ["sim-chat", "sim-embed", "gpt-4o-mini"])

      // The base path may be given without its version too.
      assert.strictEqual((yield* Client.send(server.url, { path: "/chat/completions", body: chat() })).status, 200)

      for (const path of ["/livez", "/readyz", "/health/liveliness", "/health/readiness"]) {
        assert.strictEqual((yield* Client.send(server.url, { path })).status, 200, path)
      }
      const metrics = yield* Client.send(server.adminUrl, { path: "/metrics" })
      assert.include(metrics.text, 'llm_requests_total{model="sim-chat"')
    })
  )

  it.live("listens on loopback alone, and says so", () =>
    Effect.gen(function* () {
      const server = yield* ChildServer.start()
      assert.match(server.url, /^http:\/\/127\.0\.0\.1:/u)
      assert.include(server.output(), "no key is asked for, on this machine only")
    })
  )
})

const keys = (rest: BallastConfigInput = {}): BallastConfigInput => ({
  server: { port: 0, adminPort: 0 },
  auth: {
    mode: "keys",
    keys: [
      { key: { env: "KEY_A" }, tenant: "a" },
      { key: { env: "KEY_B" }, tenant: "b" },
      { key: { env: "KEY_P" }, tenant: "p", plan: "premium" }
    ]
  },
  providers: { sim: { kind: "sim", sim: { ttft: { medianMs: 1, sigma: 0 }, perToken: { medianMs: 0 } } } },
  models: Default.models,
  ...rest
})
const env = { KEY_A: "sk-a", KEY_B: "sk-b", KEY_P: "sk-p" }
const as = (name: string, user = "u") => ({ authorization: `Bearer sk-${name}`, "x-ballast-user": user })

/** How many of `count` simultaneous requests are answered, and what the others are told. */
const burst = (server: FaultServer.FaultServer, name: string, count: number) =>
  Effect.map(
    Effect.all(
      Array.from({ length: count }, () => Client.send(server.url, { body: chat(), headers: as(name) })),
      { concurrency: "unbounded" }
    ),
    (answers) => {
      const refused = answers.filter(({ status }) => status !== 200)
      for (const answer of refused) {
        assert.strictEqual(answer.status, 429, answer.text)
        assert.strictEqual(JSON.parse(answer.text).error.code, "rate_limit_exceeded")
        assert.isAtLeast(Number(answer.headers["retry-after-ms"]), 1)
      }
      return answers.length - refused.length
    }
  )

describe("tenants", { timeout: 30_000 }, () => {
  it.live("do not see each other's limits, and premium ones get twice as much", () =>
    Effect.gen(function* () {
      const limits: NonNullable<BallastConfigInput["policies"]> = {
        rateLimits: {
          user: { requestsPerMinute: 6 },
          ip: { requestsPerMinute: null },
          tenant: { requestsPerMinute: 6 }
        },
        bulkhead: { maxInFlight: 64 }
      }
      const server = yield* FaultServer.start(keys({ policies: limits }), env)
      // The same user name at each of them, all at the same time.
      const answered = yield* Effect.all([burst(server, "a", 15), burst(server, "b", 15), burst(server, "p", 15)], {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(answered, [6, 6, 12])
    })
  )

  it.live("are told their own limits in the headers, the premium one its own", () =>
    Effect.gen(function* () {
      const server = yield* FaultServer.start(keys(), env)
      const limitOf = (name: string) =>
        Effect.map(
          Client.send(server.url, { body: chat(), headers: as(name) }),
          ({ headers }) => headers["x-ratelimit-limit-requests"]
        )
      assert.strictEqual(yield* limitOf("a"), "100")
      assert.strictEqual(yield* limitOf("p"), "200")
    })
  )

  it.live("cannot name another tenant by a header or a field", () =>
    Effect.gen(function* () {
      const server = yield* FaultServer.start(keys(), env)
      yield* Client.send(server.url, {
        body: chat({ user: "b", tenant: "b" }),
        headers: { ...as("a"), "x-ballast-tenant": "b" }
      })
      assert.isAbove(yield* server.metric('llm_tokens_out_total{tenant="a"'), 0)
      assert.strictEqual(yield* server.metric('llm_tokens_out_total{tenant="b"'), 0)
    })
  )
})

describe("features", { timeout: 30_000 }, () => {
  const slow: BallastConfigInput = {
    server: { port: 0, adminPort: 0 },
    providers: { sim: { kind: "sim", sim: { ttft: { medianMs: 600, sigma: 0 }, perToken: { medianMs: 0 } } } },
    models: Default.models,
    features: { suggest: { critical: false } },
    policies: { timeouts: { nonCriticalMs: 150 } }
  }

  it.live("that are not critical are cut early, others are not", () =>
    Effect.gen(function* () {
      const server = yield* FaultServer.start(slow)
      const began = performance.now()
      const cut = yield* Client.send(server.url, { body: chat(), headers: { "x-ballast-feature": "suggest" } })
      const took = performance.now() - began
      assert.strictEqual(cut.status, 504, cut.text)
      assert.strictEqual(JSON.parse(cut.text).error.code, "deadline_exceeded")
      assert.include(cut.text, "150 ms")
      assert.isAtLeast(took, 145)
      assert.isBelow(took, 500)
      const whole = yield* Client.send(server.url, { body: chat(), headers: { "x-ballast-feature": "answer" } })
      assert.strictEqual(whole.status, 200)
      yield* FaultServer.atRest(server, "sim")
    })
  )
})

const off = (killSwitches: NonNullable<BallastConfigInput["killSwitches"]>): BallastConfigInput =>
  keys({ killSwitches })
const assertOff = (answer: Client.Answer): void => {
  assert.strictEqual(answer.status, 503, answer.text)
  const { error } = JSON.parse(answer.text)
  assert.deepStrictEqual([error.code, error.type], ["feature_disabled", "service_unavailable_error"])
  assert.strictEqual(answer.headers["x-should-retry"], "false")
  // Whoever is told not to retry is not told when.
  assert.isUndefined(answer.headers["retry-after"])
  assert.isUndefined(answer.headers["x-ratelimit-remaining-requests"])
}

describe("kill switches", { timeout: 30_000 }, () => {
  const cases = [
    ["everything", { kind: "all", note: "maintenance until noon" }, as("a"), {}],
    ["a tenant", { kind: "tenant", target: "b" }, as("b"), {}],
    ["a feature", { kind: "feature", target: "suggest" }, { ...as("a"), "x-ballast-feature": "suggest" }, {}],
    ["a model", { kind: "model", target: "sim-small" }, as("a"), { model: "sim-small" }],
    ["a provider", { kind: "provider", target: "sim" }, as("a"), {}]
  ] as const
  for (const [name, killed, headers, rest] of cases) {
    it.live(`${name}: refused for good, and named`, () =>
      Effect.gen(function* () {
        const server = yield* FaultServer.start(off([killed]), env)
        const answer = yield* Client.send(server.url, { body: chat(rest), headers })
        if (name === "a provider") {
          // Only found out once the request has been admitted.
          assert.strictEqual(JSON.parse(answer.text).error.code, "feature_disabled")
          assert.strictEqual(answer.headers["x-should-retry"], "false")
        } else {
          assertOff(answer)
        }
        if ("note" in killed) assert.include(answer.text, killed.note)
        if (name !== "everything" && name !== "a provider") {
          const other = yield* Client.send(server.url, { body: chat(), headers: as("a") })
          assert.strictEqual(other.status, 200, other.text)
        }
        yield* FaultServer.atRest(server, "sim")
      })
    )
  }
})
