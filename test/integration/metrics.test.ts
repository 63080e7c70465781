/**
 * What an operator sees of a running server: metrics and health on their
 * ports, and one request followed through ids and traces to the provider.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Metric } from "effect"
import * as Client from "../support/raw-client.ts"
import * as Prometheus from "../support/prometheus.ts"
import * as Upstream from "../support/scripted-upstream.ts"
import { before, boot, transparent, until } from "../support/server.ts"
import * as Answers from "../support/upstream-answers.ts"

const promptText = "ask-the-xylophone"
const answerText = "says-the-zither"
const userName = "ada-of-the-harbour"

/** A server with metrics of its own before a provider that fails for the user `broken`, and does what it is told else. */
const start = (tell: { stream?: (call: Upstream.ScriptedCall) => void } = {}) =>
  Effect.gen(function* () {
    const upstream = yield* Upstream.start((call) => {
      const body = JSON.parse(call.body)
      if (body.user === "broken") return Answers.json(call, Answers.errorOf("broken"), 500)
      if (call.request.url?.endsWith("/embeddings") === true) {
        return Answers.json(call, {
          object: "list",
          data: [{ object: "embedding", index: 0, embedding: [1] }],
          model: "upstream-embed",
          usage: { prompt_tokens: 4, total_tokens: 4 }
        })
      }
      if (body.stream !== true) return Answers.json(call, Answers.completion({ content: answerText }))
      if (tell.stream !== undefined) return tell.stream(call)
      return Answers.stream(call, [Answers.chunk({ content: answerText }, "stop"), Answers.usageChunk])
    })
    const server = yield* boot({
      config: before(upstream.origin, {
        policies: { ...transparent, rateLimits: { user: { requestsPerMinute: 3 }, ip: { requestsPerMinute: null } } },
        telemetry: { sampleRatio: 0 }
      })
    })
    const scrape = Effect.map(Client.send(server.admin, { path: "/metrics" }), (answer) => ({
      answer,
      families: Prometheus.parse(answer.text)
    }))
    const ask = (rest: object = {}, headers: Readonly<Record<string, string>> = {}) =>
      Client.send(server.url, {
        body: { model: "chat", messages: [{ role: "user", content: promptText }], user: userName, ...rest },
        headers
      })
    return { upstream, server, scrape, ask }
    // A registry of its own, or servers of one process would count together.
  }).pipe(
    Effect.provideServiceEffect(
      Metric.MetricRegistry,
      Effect.sync(() => new Map())
    )
  )

const inFlight = "llm_requests_in_flight"

describe("metrics", { timeout: 30_000 }, () => {
  it.live("count what happened, on a valid page without a word of anybody's", () =>
    Effect.gen(function* () {
      const { ask, scrape, server } = yield* start()
      for (const stream of [false, true, true]) assert.strictEqual((yield* ask({ stream })).status, 200)
      assert.strictEqual((yield* ask()).status, 429)
      assert.strictEqual((yield* ask({ user: "broken" })).status, 502)
      assert.strictEqual((yield* ask({ user: "other", max_tokens: -1 })).status, 400)
      assert.strictEqual((yield* ask({ user: "other", model: promptText })).status, 404)
      const embedded = yield* Client.send(server.url, {
        path: "/v1/embeddings",
        body: { model: "embed", input: promptText, user: "other" }
      })
      assert.strictEqual(embedded.status, 200)

      yield* until(scrape, ({ families }) => Prometheus.value(families, inFlight) === 0)
      const { answer, families } = yield* scrape
      assert.strictEqual(answer.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8")
      for (const { name, type } of families.values()) {
        assert.strictEqual(name.endsWith("_total"), type === "counter", `${name} ${type}`)
      }
      assert.deepStrictEqual(Prometheus.histogramMistakes(families), [])
      for (const text of [promptText, answerText, userName]) assert.notInclude(answer.text, text)

      const requests = (status: string, outcome: string, model = "chat", operation = "chat") =>
        Prometheus.value(families, "llm_requests_total", { model, operation, status, outcome })
      assert.deepStrictEqual(
        [
          requests("200", "ok"),
          requests("429", "RateLimitError.Exceeded"),
          requests("502", "ProviderError.ServerError"),
          requests("200", "ok", "embed", "embeddings"),
          requests("400", "RequestError.InvalidField", "__unknown__"),
          requests("404", "RequestError.UnknownModel", "__unknown__")
        ],
        [3, 1, 1, 1, 1, 1]
      )
      const all = families.get("llm_requests_total")?.samples.reduce((sum, each) => sum + each.value, 0)
      assert.strictEqual(all, 8)

      const value = (name: string, labels: Readonly<Record<string, string>> = {}) =>
        Prometheus.value(families, name, labels)
      assert.strictEqual(value("llm_request_duration_seconds_count", { model: "chat", status: "200" }), 3)
      assert.strictEqual(value("llm_request_duration_seconds_count", { model: "chat", status: "429" }), 1)
      assert.strictEqual(value("llm_time_to_first_token_seconds_count", { model: "chat" }), 3)
      assert.strictEqual(value("llm_tokens_in_total", { tenant: "local", model: "chat" }), 15)
      assert.strictEqual(value("llm_tokens_out_total", { tenant: "local", model: "chat" }), 21)
      assert.closeTo(value("llm_cost_usd_total", { tenant: "local", model: "chat" }) ?? 0, 57e-6, 1e-9)
      const attempts = { provider: "up", model: "upstream-chat" }
      assert.strictEqual(value("llm_attempts_total", { ...attempts, outcome: "ok" }), 3)
      assert.strictEqual(value("llm_attempts_total", { ...attempts, outcome: "ProviderError.ServerError" }), 1)
      for (const reason of ["RateLimitError.Exceeded", "RequestError.InvalidField", "RequestError.UnknownModel"]) {
        assert.strictEqual(value("llm_refused_total", { reason }), 1, reason)
      }
      assert.isAbove(value("process_resident_memory_bytes") ?? 0, 10_000_000)
    })
  )

  it.live("show a stream in flight until it has ended", () =>
    Effect.gen(function* () {
      const tell = {
        stream: (call: Upstream.ScriptedCall) => Answers.begin(call, [Answers.chunk({ content: "a" })])
      }
      const { scrape, server, upstream } = yield* start(tell)
      const body = { model: "chat", stream: true, messages: [{ role: "user", content: "Hi" }] }
      const call = yield* Client.open(server.url, { body })
      yield* call.until('"a"')
      const during = yield* scrape
      assert.strictEqual(Prometheus.value(during.families, inFlight), 1)
      assert.isUndefined(during.families.get("llm_requests_total"))
      const { response } = yield* upstream.nextCall
      response.end(`data: ${JSON.stringify(Answers.chunk({}, "stop"))}\n\ndata: [DONE]\n\n`)
      yield* call.end
      yield* until(scrape, ({ families }) => Prometheus.value(families, inFlight) === 0)
      const after = yield* scrape
      assert.strictEqual(Prometheus.value(after.families, "llm_requests_total", { status: "200" }), 1)
    })
  )

  it.live("count a client that left, and hold it no longer", () =>
    Effect.gen(function* () {
      const tell = {
        stream: (call: Upstream.ScriptedCall) => Answers.begin(call, [Answers.chunk({ content: "a" })])
      }
      const { scrape, server } = yield* start(tell)
      const body = { model: "chat", stream: true, messages: [{ role: "user", content: "Hi" }] }
      const call = yield* Client.open(server.url, { body })
      yield* call.until('"a"')
      yield* call.leave
      yield* until(scrape, ({ families }) => Prometheus.value(families, inFlight) === 0)
      const { families } = yield* scrape
      assert.strictEqual(Prometheus.value(families, "llm_requests_total", { status: "499", outcome: "cancelled" }), 1)
    })
  )

  it.live("are on the admin port alone, and chats on the other", () =>
    Effect.gen(function* () {
      const { ask, server, upstream } = yield* start()
      assert.strictEqual((yield* Client.send(server.url, { path: "/metrics" })).status, 404)
      const { body } = { body: { model: "chat", messages: [{ role: "user", content: "Hi" }] } }
      assert.strictEqual((yield* Client.send(server.admin, { body })).status, 404)
      assert.lengthOf(upstream.calls, 0)
      assert.strictEqual((yield* ask()).status, 200)
    })
  )
})

describe("health", () => {
  it.live("is told on both ports, by both of its names", () =>
    Effect.gen(function* () {
      const { server, upstream } = yield* start()
      for (const url of [server.url, server.admin]) {
        for (const [path, status] of [
          ["/livez", "alive"],
          ["/health/liveliness", "alive"],
          ["/readyz", "ready"],
          ["/health/readiness", "ready"]
        ] as const) {
          const answer = yield* Client.send(url, { path })
          assert.strictEqual(answer.status, 200, `${url}${path}`)
          assert.deepStrictEqual(JSON.parse(answer.text), { status })
        }
      }
      // Whether a provider is well is not asked: it would take the gateway down with it.
      assert.lengthOf(upstream.calls, 0)
    })
  )
})

const traceId = "0af7651916cd43dd8448eb211c80319c"
const spanId = "b7ad6b7169203331"

describe("a trace", () => {
  it.live("goes on to the provider under a span of ours, and is named in the response", () =>
    Effect.gen(function* () {
      const { ask, upstream } = yield* start()
      for (const stream of [false, true]) {
        const answer = yield* ask({ stream }, { traceparent: `00-${traceId}-${spanId}-01` })
        const { request } = yield* upstream.nextCall
        const [version, trace, parent, flags] = String(request.headers["traceparent"]).split("-")
        assert.deepStrictEqual([version, trace, flags], ["00", traceId, "01"])
        assert.match(parent ?? "", /^[0-9a-f]{16}$/u)
        assert.notStrictEqual(parent, spanId)
        assert.strictEqual(answer.headers["traceresponse"], `00-${traceId}-${parent}-01`)
      }
    })
  )

  it.live("that its caller does not sample goes on as it came", () =>
    Effect.gen(function* () {
      const { ask, upstream } = yield* start()
      const traceparent = `00-${traceId}-${spanId}-00`
      const answer = yield* ask({}, { traceparent })
      const { request } = yield* upstream.nextCall
      assert.strictEqual(request.headers["traceparent"], traceparent)
      assert.strictEqual(answer.headers["traceresponse"], traceparent)
    })
  )

  it.live("that is invalid or was not sent is nobody's", () =>
    Effect.gen(function* () {
      const { ask, upstream } = yield* start()
      const zero = `00-${"0".repeat(32)}-${spanId}-01`
      for (const headers of [{}, { traceparent: "00-what-01" }, { traceparent: zero }]) {
        const answer = yield* ask({}, headers)
        const { request } = yield* upstream.nextCall
        assert.strictEqual(answer.status, 200)
        assert.isUndefined(request.headers["traceparent"])
        assert.isUndefined(answer.headers["traceresponse"])
      }
    })
  )

  it.live("of a refused request is named in the refusal", () =>
    Effect.gen(function* () {
      const { ask } = yield* start()
      const answer = yield* ask({ model: "none" }, { traceparent: `00-${traceId}-${spanId}-01` })
      assert.strictEqual(answer.status, 404)
      assert.match(String(answer.headers["traceresponse"]), new RegExp(`^00-${traceId}-[0-9a-f]{16}-01$`, "u"))
    })
  )
})

describe("x-request-id", () => {
  it.live("is the client's own: in an answer, a stream, a refusal and on every other route", () =>
    Effect.gen(function* () {
      const { ask, server } = yield* start()
      const headers = { "x-request-id": "trace:42_a.b-c" }
      const answers = [
        yield* ask({}, headers),
        yield* ask({ stream: true }, headers),
        yield* ask({ n: 0 }, headers),
        yield* Client.send(server.url, { path: "/v1/models", headers }),
        yield* Client.send(server.url, { path: "/v1/models/none", headers }),
        yield* Client.send(server.url, { path: "/nowhere", headers })
      ]
      assert.deepStrictEqual(
        answers.map(({ status }) => status),
        [200, 200, 400, 200, 404, 404]
      )
      for (const answer of answers) {
        assert.strictEqual(answer.headers["x-request-id"], headers["x-request-id"])
        if (answer.status !== 200) assert.strictEqual(JSON.parse(answer.text).error.request_id, headers["x-request-id"])
      }
    })
  )

  it.live("is a new one each time where the client's cannot go into logs, or there is none", () =>
    Effect.gen(function* () {
      const { server } = yield* start()
      const body = { model: "chat", messages: [{ role: "user", content: "Hi" }] }
      const seen = new Set<string>()
      for (const id of [undefined, "", "a b", "a,b", "<script>", "ä", "a".repeat(129)]) {
        const headers = id === undefined ? {} : { "x-request-id": id }
        for (const ask of [{ body: { ...body, user: `user ${seen.size}` } }, { path: "/v1/models" }]) {
          const answer = yield* Client.send(server.url, { ...ask, headers })
          assert.strictEqual(answer.status, 200)
          assert.match(String(answer.headers["x-request-id"]), /^req_[0-9a-f]{24}$/u)
          seen.add(String(answer.headers["x-request-id"]))
        }
      }
      assert.strictEqual(seen.size, 14)
    })
  )
})
