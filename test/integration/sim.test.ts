import { request } from "node:http"
import type { IncomingMessage } from "node:http"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Option, Schedule, Stream } from "effect"
import type { Scope } from "effect"
import OpenAI, { RateLimitError } from "openai"
import * as OpenAiUpstream from "../../src/layers/provider/openai.ts"
import type { FaultInput, SimOptionsInput } from "../../src/layers/provider/sim/options.ts"
import * as Sim from "../../src/layers/provider/sim/upstream.ts"
import * as Undici from "../../src/layers/transport/undici.ts"
import { SimServer, layer, serve } from "../../src/programs/sim.ts"
import { events } from "../../src/services/provider.ts"
import type { OpenRequest, Upstream } from "../../src/services/provider.ts"

const quick: SimOptionsInput = {
  ttft: { medianMs: 5, sigma: 0 },
  perToken: { medianMs: 1, sigma: 0 },
  outputTokens: { median: 6, sigma: 0 },
  embedding: { medianMs: 1 }
}

// Nobody else may take the port between asking for it and using it.
const start = (options: SimOptionsInput = quick) => serve(options, { host: "127.0.0.1", port: 0 })

const ask = (rest: object = {}) => ({ model: "sim-large", messages: [{ role: "user", content: "Hello" }], ...rest })

/** What a plain HTTP client sees. `error` is set where the connection ended before the answer did. */
interface Answer {
  readonly status: number | undefined
  readonly headers: IncomingMessage["headers"]
  readonly text: string
  readonly error: string | undefined
}

/** An own client on `node:http`: it shows what is on the wire, half answers too. `until` hangs up after that text, or (empty) at once. */
const send = (
  url: string,
  path: string,
  body?: unknown,
  options: { readonly method?: string; readonly until?: string } = {}
) =>
  Effect.callback<Answer>((resume) => {
    const text = typeof body === "string" || body === undefined ? body : JSON.stringify(body)
    let status: number | undefined
    let headers: IncomingMessage["headers"] = {}
    let received = ""
    const end = (error?: string) => resume(Effect.succeed({ status, headers, text: received, error }))
    const req = request(`${url}${path}`, {
      method: options.method ?? (text === undefined ? "GET" : "POST"),
      agent: false
    })
    req.on("error", (error) => end("code" in error ? String(error.code) : error.message))
    req.on("response", (res) => {
      status = res.statusCode
      headers = res.headers
      if (options.until === "") req.destroy()
      res.setEncoding("utf8")
      res.on("data", (chunk: string) => {
        received += chunk
        if (options.until !== undefined && received.includes(options.until)) req.destroy()
      })
      res.on("error", (error) => end("code" in error ? String(error.code) : error.message))
      res.on("end", () => end())
    })
    req.end(text)
    return Effect.sync(() => req.destroy())
  })

const chat = (url: string, rest: object = {}) => send(url, "/v1/chat/completions", ask(rest))
const struck = (url: string, fault: FaultInput, rest: object = {}) => chat(url, { ...rest, sim: { fault } })

/** Wait for a state that some other party reaches soon. The test's own time limit ends a wait that never ends. */
const eventually = <A>(check: Effect.Effect<A>, ok: (value: A) => boolean): Effect.Effect<A> =>
  Effect.repeat(check, { schedule: Schedule.spaced(2), until: ok })

const lastFrame = (answer: Answer) => answer.text.trimEnd().split("\n\n").at(-1)?.replace("data: ", "") ?? ""
const openaiAt = (url: string) => new OpenAI({ apiKey: "none", baseURL: `${url}/v1`, maxRetries: 0 })
// The package speaks promises; these tests are where they meet Effect.
const using = <A>(use: (openai: OpenAI) => Promise<A>, options = quick): Effect.Effect<A, never, Scope.Scope> =>
  Effect.flatMap(Effect.orDie(start(options)), ({ url }) => Effect.promise(() => use(openaiAt(url))))

describe("the server", () => {
  it.live("answers in JSON, streams with [DONE], embeds, lists models; with and without /v1", () =>
    Effect.gen(function* () {
      const { url } = yield* start()
      const whole = yield* chat(url)
      assert.strictEqual(whole.status, 200)
      const completion = JSON.parse(whole.text)
      assert.strictEqual(completion.usage.completion_tokens, 6)
      const stream = yield* chat(url, { stream: true, stream_options: { include_usage: true } })
      assert.match(String(stream.headers["content-type"]), /^text\/event-stream/)
      const frames = stream.text.split("\n\n").map((frame) => frame.replace(/^data: /, ""))
      assert.deepStrictEqual(frames.splice(-2), ["[DONE]", ""])
      const chunks = frames.map((frame) => JSON.parse(frame))
      assert.strictEqual(chunks.length, 9)
      assert.strictEqual(chunks[8].usage.total_tokens, completion.usage.total_tokens)
      assert.strictEqual(
        chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join(""),
        completion.choices[0].message.content
      )
      const embedded = yield* send(url, "/embeddings", { model: "sim-embed", input: ["a", "b"] })
      assert.strictEqual(JSON.parse(embedded.text).data.length, 2)
      const models = yield* send(url, "/models")
      assert.strictEqual(JSON.parse(models.text).data[0].id, "sim-large")
    })
  )

  it.live("refuses what it cannot read, with OpenAI's error body", () =>
    Effect.gen(function* () {
      const { control, url } = yield* start({ ...quick, strictModels: true })
      const cases = [
        yield* send(url, "/v1/chat/completions", "{"),
        yield* send(url, "/v1/chat/completions", { model: "m", messages: [] }),
        yield* chat(url, { max_tokens: -1 }),
        yield* chat(url, { sim: { fault: { kind: "meteor" } } })
      ]
      for (const answer of cases) {
        assert.strictEqual(answer.status, 400)
        assert.strictEqual(JSON.parse(answer.text).error.type, "invalid_request_error")
      }
      assert.strictEqual((yield* control.stats).calls, 0)
      assert.strictEqual((yield* chat(url, { model: "unheard-of" })).status, 404)
      assert.strictEqual((yield* send(url, "/v2/nothing")).status, 404)
    })
  )

  it.live("says in headers what is left of its limits, and when to come back", () =>
    Effect.gen(function* () {
      const { url } = yield* start({ ...quick, rpm: 1, tpm: 1000 })
      const first = yield* chat(url)
      assert.strictEqual(first.headers["x-ratelimit-remaining-requests"], "0")
      assert.strictEqual(first.headers["x-ratelimit-limit-tokens"], "1000")
      const second = yield* chat(url)
      assert.strictEqual(second.status, 429)
      const ms = Number(second.headers["retry-after-ms"])
      assert(ms > 50_000 && ms <= 60_000)
      assert.strictEqual(Number(second.headers["retry-after"]), Math.ceil(ms / 1000))
      assert.strictEqual(JSON.parse(second.text).error.code, "rate_limit_exceeded")
    })
  )

  it.live("serves as a layer, and frees its port with its scope", () =>
    Effect.gen(function* () {
      const url = yield* Effect.provide(
        Effect.gen(function* () {
          const server = yield* SimServer
          assert.strictEqual((yield* send(server.url, "/sim/stats")).status, 200)
          return server.url
        }),
        layer(quick, { host: "127.0.0.1", port: 0 })
      )
      assert.strictEqual((yield* send(url, "/sim/stats")).error, "ECONNREFUSED")
    })
  )

  it.live("closes at once, with calls that run and calls that hang", () =>
    Effect.gen(function* () {
      const began = performance.now()
      const clients = yield* Effect.scoped(
        Effect.gen(function* () {
          const { control, url } = yield* start(quick)
          const asked = [
            struck(url, { kind: "hang" }),
            struck(url, { kind: "stall" }, { stream: true }),
            chat(url, { stream: true, sim: { perTokenMs: 10_000 } })
          ]
          const fibers = yield* Effect.forEach(asked, (one) => Effect.forkChild(one))
          yield* eventually(control.stats, ({ running }) => running === 3)
          return fibers
        })
      )
      for (const client of clients) assert.notStrictEqual((yield* Fiber.join(client)).text.includes("[DONE]"), true)
      assert(performance.now() - began < 3000)
    })
  )
})

describe("faults on the wire", () => {
  it.live("statuses come with OpenAI's body and Retry-After", () =>
    Effect.gen(function* () {
      const { url } = yield* start()
      for (const status of [400, 401, 404, 413, 429, 500, 503, 529]) {
        for (const stream of [true, false]) {
          const answer = yield* struck(url, { kind: "reject", status, retryAfterMs: 1500 }, { stream })
          assert.strictEqual(answer.status, status)
          assert.strictEqual(typeof JSON.parse(answer.text).error.message, "string")
          assert.strictEqual(answer.headers["retry-after"], "2")
          assert.strictEqual(answer.headers["retry-after-ms"], "1500")
        }
      }
    })
  )

  it.live("refuse: no byte", () =>
    Effect.gen(function* () {
      const { url } = yield* start()
      const answer = yield* struck(url, { kind: "refuse" })
      assert.strictEqual(answer.status, undefined)
      assert.strictEqual(answer.error, "ECONNRESET")
    })
  )

  it.live("cut: what came before it, then a dead socket; headers at least", () =>
    Effect.gen(function* () {
      const { url } = yield* start()
      const stream = yield* struck(url, { kind: "cut", afterChunks: 2 }, { stream: true })
      assert.strictEqual(stream.text.split("\n\n").length, 3)
      assert.strictEqual(stream.error, "ECONNRESET")
      const early = yield* struck(url, { kind: "cut", afterChunks: 0 }, { stream: true })
      assert.deepStrictEqual([early.status, early.text, early.error], [200, "", "ECONNRESET"])
      const whole = yield* struck(url, { kind: "cut" })
      assert.strictEqual(whole.status, 200)
      assert.strictEqual(whole.error, "ECONNRESET")
      assert(whole.text.length > 0)
    })
  )

  it.live("broken frame and in-band error: such a frame, then the end without [DONE]", () =>
    Effect.gen(function* () {
      const { url } = yield* start()
      const broken = yield* struck(url, { kind: "broken-frame" }, { stream: true })
      assert.throws(() => JSON.parse(lastFrame(broken)))
      assert.strictEqual(broken.error, undefined)
      const inBand = yield* struck(url, { kind: "stream-error" }, { stream: true })
      assert.strictEqual(JSON.parse(lastFrame(inBand)).error.type, "server_error")
      const whole = yield* struck(url, { kind: "broken-frame" })
      assert.throws(() => JSON.parse(whole.text))
    })
  )

  it.live("hangs: without headers, or with headers and no more; a stall after its chunks", () =>
    Effect.gen(function* () {
      const { control, url } = yield* start()
      for (const stream of [true, false]) {
        const silent = yield* Effect.forkChild(struck(url, { kind: "hang" }, { stream }))
        yield* eventually(control.stats, ({ running }) => running === 1)
        assert.strictEqual(silent.pollUnsafe(), undefined)
        yield* Fiber.interrupt(silent)
        yield* eventually(control.stats, ({ running }) => running === 0)

        const sim = { fault: { kind: "hang", phase: "body" } }
        const headers = yield* send(url, "/v1/chat/completions", ask({ stream, sim }), { until: "" })
        assert.strictEqual(headers.status, 200)
        yield* eventually(control.stats, ({ running }) => running === 0)
      }
      const stall = { stream: true, sim: { fault: { kind: "stall", afterChunks: 2 } } }
      const some = yield* send(url, "/v1/chat/completions", ask(stall), { until: `"content":"` })
      assert.strictEqual(some.status, 200)
      yield* eventually(control.stats, ({ abandoned, running }) => running === 0 && abandoned === 5)
    })
  )

  it.live("are set and removed on command", () =>
    Effect.gen(function* () {
      const { url } = yield* start()
      assert.strictEqual((yield* send(url, "/sim/faults", [{ kind: "outage" }, { kind: "brownout" }])).status, 204)
      assert.strictEqual((yield* chat(url)).status, 503)
      assert.strictEqual((yield* send(url, "/sim/faults", undefined, { method: "DELETE" })).status, 204)
      assert.strictEqual((yield* chat(url)).status, 200)
      assert.strictEqual((yield* send(url, "/sim/faults", { kind: "meteor" })).status, 400)
      assert.deepInclude(JSON.parse((yield* send(url, "/sim/stats")).text), { calls: 2, failed: 1, finished: 1 })
    })
  )
})

describe("clients who leave", () => {
  for (const [name, stream, until] of [
    ["before the first token", true, undefined],
    ["of a whole answer", false, undefined],
    ["in the middle of a stream", true, `"content":"`]
  ] as const) {
    it.live(`${name}: generation stops within 100 ms`, () =>
      Effect.gen(function* () {
        const { control, url } = yield* start()
        const sim = { ttftMs: until === undefined ? 60_000 : 1, perTokenMs: 5, outputTokens: 10_000 }
        const client = yield* Effect.forkChild(
          send(url, "/v1/chat/completions", ask({ stream, sim }), until === undefined ? {} : { until })
        )
        yield* eventually(control.stats, ({ running }) => running === 1)
        if (until === undefined) yield* Fiber.interrupt(client)
        else yield* Fiber.join(client)
        const left = performance.now()
        const stats = yield* eventually(control.stats, ({ running }) => running === 0)
        assert(performance.now() - left < 100)
        assert.strictEqual(stats.abandoned, 1)
        assert(stats.generatedTokens < 100)
      })
    )
  }
})

const tagOf = (upstream: Upstream, candidateRequest: OpenRequest): Effect.Effect<string> =>
  Effect.scoped(
    Effect.flatMap(upstream.open({ provider: "sim", model: "sim-large" }, candidateRequest), (completion) =>
      Stream.runDrain(events(completion))
    )
  ).pipe(
    Effect.exit,
    Effect.map((exit) =>
      Exit.isSuccess(exit)
        ? "ok"
        : Option.match(Cause.findErrorOption(exit.cause), {
            onNone: () => "defect",
            onSome: ({ reason }) =>
              JSON.stringify([reason._tag, "retryAfterMs" in reason ? reason.retryAfterMs : undefined])
          })
    )
  )

describe("beside the provider in process", () => {
  const faults: ReadonlyArray<FaultInput | undefined> = [
    undefined,
    ...[400, 401, 403, 404, 413, 429, 500, 503, 529].map((status): FaultInput => ({ kind: "reject", status })),
    { kind: "reject", status: 429, code: "insufficient_quota" },
    { kind: "outage", retryAfterMs: 2500 },
    { kind: "refuse" },
    { kind: "cut", afterChunks: 0 },
    { kind: "cut", afterChunks: 2 },
    { kind: "broken-frame", afterChunks: 2 },
    { kind: "stream-error", afterChunks: 2 }
  ]

  it.live("our OpenAI adapter reports the same reasons over the wire", () =>
    Effect.gen(function* () {
      const { url } = yield* start()
      const { upstream: local } = yield* Sim.make(quick)
      const remote = yield* OpenAiUpstream.openaiCompatible({ baseUrl: `${url}/v1` })
      for (const fault of faults) {
        for (const stream of [true, false]) {
          const open: OpenRequest = {
            chat: {
              model: "sim-large",
              messages: [{ role: "user", content: "Hello" }],
              stream,
              ...(fault === undefined ? {} : { sim: { fault } })
            },
            body: undefined,
            includeUsage: true,
            deadlineMs: Date.now() + 5000,
            traceparent: undefined
          }
          const name = `${JSON.stringify(fault)} ${stream ? "streamed" : "whole"}`
          assert.strictEqual(yield* tagOf(remote, open), yield* tagOf(local, open), name)
        }
      }
    }).pipe(Effect.provide(Undici.layer()))
  )
})

describe("the openai package", () => {
  it.live("chats, streams, calls tools, embeds, lists models", () =>
    using(async (openai) => {
      const messages = [{ role: "user" as const, content: "Hello" }]
      const whole = await openai.chat.completions.create({ model: "sim-large", messages })
      let text = ""
      for await (const chunk of await openai.chat.completions.create({
        model: "sim-large",
        messages,
        stream: true
      })) {
        text += chunk.choices[0]?.delta.content ?? ""
      }
      assert.strictEqual(text, whole.choices[0]?.message.content)
      const tool = {
        type: "function" as const,
        function: { name: "look", parameters: { type: "object", properties: { at: { type: "string" } } } }
      }
      const called = await openai.chat.completions
        .stream({ model: "m", messages, tools: [tool], tool_choice: "required" })
        .finalChatCompletion()
      const call = called.choices[0]?.message.tool_calls?.[0]
      assert(call?.type === "function")
      assert.strictEqual(typeof JSON.parse(call.function.arguments).at, "string")
      const embedded = await openai.embeddings.create({ model: "sim-embed", input: "harbour" })
      assert.strictEqual(embedded.data[0]?.embedding.length, 256)
      const models = await openai.models.list()
      assert.strictEqual(models.data.length, 3)
    })
  )

  it.live("meets its own error classes", () =>
    using(
      async (openai) => {
        const error = await openai.models
          .list()
          .then(() => openai.chat.completions.create({ model: "m", messages: [{ role: "user", content: "x" }] }))
          .catch((cause: unknown) => cause)
        assert(error instanceof RateLimitError)
        assert.strictEqual(error.code, "rate_limit_exceeded")
      },
      { ...quick, faults: [{ kind: "reject", status: 429 }] }
    )
  )
})
