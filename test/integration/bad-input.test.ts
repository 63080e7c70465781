/**
 * What a client can get wrong, through the real HTTP stack: every refusal is a
 * typed 4xx with OpenAI's error body, nothing is called upstream, nothing is
 * charged, and the connection is either good for the next request or closed.
 */
import { Agent } from "node:http"
import * as Net from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Scope } from "effect"
import * as FaultServer from "../support/fault-server.ts"
import * as Client from "../support/raw-client.ts"
import type { Ask } from "../support/raw-client.ts"
import * as Upstream from "../support/scripted-upstream.ts"
import * as Answers from "../support/upstream-answers.ts"

const limit = 10

const bodyLimitBytes = 16_384

const start = (rest: Parameters<typeof FaultServer.upstreamAt>[1] = {}, env: Readonly<Record<string, string>> = {}) =>
  Effect.gen(function* () {
    const upstream = yield* Upstream.start((call) => {
      Answers.json(call, Answers.completion({ content: "hello" }))
    })
    const server = yield* FaultServer.start(
      FaultServer.upstreamAt(upstream.origin, {
        models: [
          {
            alias: "m",
            candidates: ["up/upstream-model"],
            price: { inputPerMillion: 1, outputPerMillion: 2 },
            contextTokens: 1_000
          },
          { alias: "e", kind: "embedding", candidates: ["up/upstream-embed"], price: { inputPerMillion: 1 } }
        ],
        ...rest,
        server: { bodyLimitBytes, headerLimitBytes: 4_096, bodyTimeoutMs: 300, ...rest.server },
        policies: {
          rateLimits: { user: { requestsPerMinute: limit }, ip: { requestsPerMinute: null } },
          ...rest.policies
        }
      }),
      env
    )
    const agent = yield* Effect.acquireRelease(
      Effect.sync(() => new Agent({ keepAlive: true, maxSockets: 1 })),
      (each) => Effect.sync(() => each.destroy())
    )
    return { upstream, server, agent }
  })

const user = { role: "user", content: "Hi" }
const chat = (rest: object = {}) => ({ model: "m", messages: [user], ...rest })
const named = { "x-ballast-user": "u" }

/** The head of a raw request. */
const head = (rest: string) =>
  `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n${rest}\r\n\r\n`
const post = (body: string, rest = "") => head(`${rest}content-length: ${body.length}`) + body

interface Refusal {
  readonly status: number
  readonly code: string
  readonly param?: string | null
  readonly type?: string
}

const assertRefused = (answer: Client.Answer, { code, param = null, status, type }: Refusal): void => {
  assert.strictEqual(answer.status, status, answer.text)
  assert.strictEqual(answer.headers["content-type"]?.split(";")[0], "application/json")
  const { error } = JSON.parse(answer.text)
  assert.deepStrictEqual(
    { code: error.code, param: error.param, type: error.type },
    { code, param, type: type ?? "invalid_request_error" }
  )
  assert.isString(error.message)
  assert.isAbove(error.message.length, 10)
  assert.match(String(answer.headers["x-request-id"]), /^req_\w{24}$/u)
  assert.strictEqual(error.request_id, answer.headers["x-request-id"])
}

/** Refused as it should be, not called, not charged; and the same connection answers a good request. */
const refused = (ask: Ask, expected: Refusal): Effect.Effect<void, never, Scope.Scope> =>
  Effect.gen(function* () {
    const { agent, server, upstream } = yield* start()
    const answer = yield* Client.send(server.url, { agent, ...ask, headers: { ...named, ...ask.headers } })
    assertRefused(answer, expected)
    assert.strictEqual(answer.headers["x-should-retry"], "false")
    assert.isUndefined(answer.headers["x-ratelimit-remaining-requests"])
    assert.lengthOf(upstream.calls, 0)

    const good = yield* Client.send(server.url, { agent, body: chat(), headers: named })
    assert.strictEqual(good.status, 200, good.text)
    assert.strictEqual(good.headers["x-ratelimit-remaining-requests"], String(limit - 1))
    assert.lengthOf(upstream.calls, 1)
    yield* FaultServer.atRest(server)
  })

const invalid = (param: string | null): Refusal => ({ status: 400, code: "invalid_value", param })
const noJson: Refusal = { status: 400, code: "invalid_json" }

describe("bodies that are no JSON", { timeout: 20_000 }, () => {
  const cases: ReadonlyArray<readonly [name: string, body: string | Uint8Array]> = [
    ["malformed JSON", '{"model":"m","messages":['],
    ["an empty body", ""],
    ["white space", " \n "],
    ["two values", `${JSON.stringify(chat())}{}`],
    ["invalid UTF-8", Buffer.concat([Buffer.from('{"model":"m\xff', "latin1"), Buffer.from('"}')])],
    ["a lone surrogate's bytes", Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22])],
    ["NUL bytes", "\0\0\0\0"]
  ]
  for (const [name, body] of cases) it.live(name, () => refused({ body, method: "POST" }, noJson))

  it.live("is told where it went wrong, without the text around it", () =>
    Effect.gen(function* () {
      const { server } = yield* start()
      const body = '{"model":"m","messages":[{"role":"user","content":"my secret prompt" oops}]}'
      const { text } = yield* Client.send(server.url, { body })
      assert.notInclude(text, "secret")
      assert.notInclude(text, "oops")
    })
  )

  it.live("JSON nested a hundred thousand deep is an error, not a crash", () =>
    refused({ body: "[".repeat(bodyLimitBytes - 1), method: "POST" }, noJson)
  )

  it.live("a value of great depth in a good body is answered or refused, not a crash", () =>
    Effect.gen(function* () {
      const { agent, server } = yield* start()
      const depth = 7_000
      const body = `{"model":"m","messages":[{"role":"user","content":"Hi"}],"x":${"[".repeat(depth)}${"]".repeat(depth)}}`
      const answer = yield* Client.send(server.url, { agent, body })
      assert.include([200, 400], answer.status, answer.text)
      const good = yield* Client.send(server.url, { agent, body: chat() })
      assert.strictEqual(good.status, 200)
    })
  )
})

describe("bodies of the wrong shape", { timeout: 20_000 }, () => {
  const cases: ReadonlyArray<readonly [body: unknown, param: string | null]> = [
    [[], null],
    ["7", null],
    ["null", null],
    [{}, "model"],
    [{ messages: [user] }, "model"],
    [chat({ model: "" }), "model"],
    [chat({ model: 7 }), "model"],
    [{ model: "m" }, "messages"],
    [chat({ messages: [] }), "messages"],
    [chat({ messages: "Hi" }), "messages"],
    [chat({ messages: [7] }), "messages[0]"],
    [chat({ messages: [user, { role: "boss", content: "Hi" }] }), "messages[1].role"],
    [chat({ messages: [{ content: "Hi" }] }), "messages[0].role"],
    [chat({ messages: [{ role: "user", content: 7 }] }), "messages[0].content"],
    [chat({ messages: [{ role: "user", content: [{ text: "Hi" }] }] }), "messages[0].content[0].type"],
    [chat({ stream: "yes" }), "stream"],
    [chat({ stream_options: true }), "stream_options"],
    [chat({ stream_options: { include_usage: 1 } }), "stream_options.include_usage"],
    [chat({ max_tokens: -1 }), "max_tokens"],
    [chat({ max_tokens: 0 }), "max_tokens"],
    [chat({ max_tokens: 1.5 }), "max_tokens"],
    [chat({ max_tokens: "9" }), "max_tokens"],
    [chat({ max_completion_tokens: -1 }), "max_completion_tokens"],
    [chat({ temperature: 2.1 }), "temperature"],
    [chat({ temperature: "hot" }), "temperature"],
    [chat({ top_p: -0.1 }), "top_p"],
    [chat({ n: 0 }), "n"],
    [chat({ n: 129 }), "n"],
    [chat({ n: "2" }), "n"],
    [chat({ stop: 7 }), "stop"],
    [chat({ stop: [7] }), "stop[0]"],
    [chat({ user: 7 }), "user"],
    [chat({ tools: {} }), "tools"],
    [chat({ tools: [{}] }), "tools[0].type"]
  ]
  for (const [body, param] of cases) {
    it.live(`${JSON.stringify(body).slice(0, 80)} names ${param}`, () => refused({ body }, invalid(param)))
  }

  const embeddings: ReadonlyArray<readonly [body: unknown, param: string | null]> = [
    [{ model: "e" }, "input"],
    [{ model: "e", input: "" }, "input"],
    [{ model: "e", input: [] }, "input"],
    [{ model: "e", input: [""] }, "input[0]"],
    [{ model: "e", input: ["a", 7] }, "input"],
    [{ model: "e", input: [[]] }, "input"],
    [{ model: "e", input: [-1] }, "input"],
    [{ model: "e", input: Array.from({ length: 2_049 }, () => "a") }, "input"],
    [{ model: "e", input: "a", dimensions: 0 }, "dimensions"],
    [{ model: "e", input: "a", encoding_format: "hex" }, "encoding_format"],
    [{ input: "a" }, "model"]
  ]
  for (const [body, param] of embeddings) {
    it.live(`embeddings: ${JSON.stringify(body).slice(0, 60)} names ${param}`, () =>
      Effect.gen(function* () {
        const { server, upstream } = yield* start()
        const answer = yield* Client.send(server.url, { path: "/v1/embeddings", body })
        const { error } = JSON.parse(answer.text)
        assert.strictEqual(answer.status, 400, answer.text)
        assert.strictEqual(error.code, "invalid_value")
        // Which of several shapes was meant is not always known; that it is about the input is.
        assert.isTrue(error.param?.startsWith(param), `${error.param} for ${param}`)
        assert.strictEqual(answer.headers["x-should-retry"], "false")
        assert.lengthOf(upstream.calls, 0)
      })
    )
  }
})

describe("requests that no model can serve", { timeout: 20_000 }, () => {
  it.live("an unknown model", () =>
    refused({ body: chat({ model: "gpt-9" }) }, { status: 404, code: "model_not_found", param: "model" })
  )

  it.live("the name of an object's own property is an unknown model too", () =>
    refused({ body: chat({ model: "__proto__" }) }, { status: 404, code: "model_not_found", param: "model" })
  )

  it.live("an embedding model asked to chat", () =>
    refused({ body: chat({ model: "e" }) }, { status: 400, code: "unsupported_model", param: "model" })
  )

  it.live("a chat model asked to embed", () =>
    refused(
      { path: "/v1/embeddings", body: { model: "m", input: "a" } },
      { status: 400, code: "unsupported_model", param: "model" }
    )
  )

  it.live("a prompt longer than the context", () =>
    refused(
      { body: chat({ messages: [{ role: "user", content: "a word ".repeat(1_200) }] }) },
      { status: 400, code: "context_length_exceeded", param: "messages" }
    )
  )

  it.live("an answer longer than the context has room for", () =>
    refused({ body: chat({ max_tokens: 1_000 }) }, { status: 400, code: "context_length_exceeded", param: "messages" })
  )

  it.live("a request that the caller's limit can never fit", () =>
    Effect.gen(function* () {
      const { server, upstream } = yield* start({
        policies: { rateLimits: { user: { tokensPerMinute: 100 }, ip: { requestsPerMinute: null } } }
      })
      const answer = yield* Client.send(server.url, { body: chat({ max_tokens: 500 }), headers: named })
      assertRefused(answer, { status: 400, code: "request_exceeds_limit" })
      assert.strictEqual(answer.headers["x-should-retry"], "false")
      assert.lengthOf(upstream.calls, 0)
    })
  )
})

describe("addresses and methods", { timeout: 20_000 }, () => {
  it.live("an unknown URL", () =>
    refused({ path: "/v1/chat/completion", body: chat() }, { status: 404, code: "unknown_url" })
  )

  it.live("an unknown model in the list", () =>
    refused({ path: "/v1/models/nope" }, { status: 404, code: "model_not_found", param: "model" })
  )

  for (const method of ["GET", "PUT", "DELETE", "PATCH"]) {
    it.live(`${method} on a POST route`, () => refused({ method }, { status: 405, code: "method_not_allowed" }))
  }

  it.live("the refusal of a method names the right one", () =>
    Effect.gen(function* () {
      const { server } = yield* start()
      const { headers } = yield* Client.send(server.url, { path: "/v1/embeddings" })
      assert.strictEqual(headers.allow, "POST")
    })
  )
})

describe("keys", { timeout: 20_000 }, () => {
  const keys = {
    auth: { mode: "keys", keys: [{ key: { env: "K" }, tenant: "t" }] }
  } as const
  const key = "sk-customer-1"

  const cases: ReadonlyArray<readonly [name: string, headers: Record<string, string>]> = [
    ["no key", {}],
    ["an unknown key", { authorization: "Bearer sk-wrong" }],
    ["a key that begins like a known one", { authorization: `Bearer ${key.slice(0, -1)}` }],
    ["an empty key", { authorization: "Bearer " }],
    ["another scheme", { authorization: `Basic ${key}` }]
  ]
  for (const [name, headers] of cases) {
    it.live(name, () =>
      Effect.gen(function* () {
        const { agent, server, upstream } = yield* start(keys, { K: key })
        for (const ask of [
          { body: chat() },
          { body: { model: "e", input: "a" }, path: "/v1/embeddings" },
          { path: "/v1/models" },
          // Who may not call learns nothing about what would be wrong with the body.
          { body: "{", method: "POST" }
        ]) {
          const answer = yield* Client.send(server.url, { agent, ...ask, headers: { ...named, ...headers } })
          assertRefused(answer, { status: 401, code: "invalid_api_key" })
          assert.strictEqual(answer.headers["x-should-retry"], "false")
          assert.match(String(answer.headers["www-authenticate"]), /^Bearer/u)
          assert.notInclude(answer.text, "sk-")
        }
        assert.lengthOf(upstream.calls, 0)
        const good = yield* Client.send(server.url, {
          agent,
          body: chat(),
          headers: { ...named, authorization: `bearer ${key}` }
        })
        assert.strictEqual(good.status, 200, good.text)
        assert.strictEqual(good.headers["x-ratelimit-remaining-requests"], String(limit - 1))
      })
    )
  }
})

/** After an answer to a body that was not read to its end, the connection is closed. */
describe("sizes and times", { timeout: 20_000 }, () => {
  const tooLarge: Refusal = { status: 413, code: "request_too_large" }
  const big = JSON.stringify(chat({ messages: [{ role: "user", content: "x".repeat(bodyLimitBytes) }] }))

  it.live("a body of exactly the limit is read", () =>
    Effect.gen(function* () {
      const { server } = yield* start()
      const body = JSON.stringify(chat())
      const { status } = yield* Client.send(server.url, { body: body + " ".repeat(bodyLimitBytes - body.length) })
      assert.strictEqual(status, 200)
    })
  )

  it.live("a body whose declared length is over the limit, before it is sent", () =>
    Effect.gen(function* () {
      const { server, upstream } = yield* start()
      const answer = Client.parseRaw(yield* Client.raw(server.port, head(`content-length: ${bodyLimitBytes + 1}`), "{"))
      assertRefused(answer, tooLarge)
      assert.strictEqual(answer.headers["x-should-retry"], "false")
      assert.strictEqual(answer.headers.connection, "close")
      assert.lengthOf(upstream.calls, 0)
    })
  )

  it.live("a body that says nothing of its length and passes the limit", () =>
    Effect.gen(function* () {
      const { server, upstream } = yield* start()
      const answer = Client.parseRaw(
        yield* Client.raw(
          server.port,
          head("transfer-encoding: chunked"),
          `${big.length.toString(16)}\r\n${big}\r\n`,
          // Still sending: no last chunk.
          "1\r\nx\r\n"
        )
      )
      assertRefused(answer, tooLarge)
      assert.strictEqual(answer.headers.connection, "close")
      assert.lengthOf(upstream.calls, 0)
    })
  )

  it.live("a client that sends all of a large body first gets the answer, and so does its next request", () =>
    Effect.gen(function* () {
      const { agent, server, upstream } = yield* start()
      const answer = yield* Client.send(server.url, { agent, body: "x".repeat(2_000_000), method: "POST" })
      assertRefused(answer, tooLarge)
      const good = yield* Client.send(server.url, { agent, body: chat() })
      assert.strictEqual(good.status, 200)
      assert.lengthOf(upstream.calls, 1)
      yield* FaultServer.atRest(server)
    })
  )

  it.live("a body that stops coming: 408 after the limit, and the connection is closed", () =>
    Effect.gen(function* () {
      const { server, upstream } = yield* start()
      const began = performance.now()
      const answer = Client.parseRaw(yield* Client.raw(server.port, head("content-length: 100"), '{"model":'))
      assert.isBelow(performance.now() - began, 3_000)
      assertRefused(answer, { status: 408, code: "request_timeout" })
      assert.strictEqual(answer.headers.connection, "close")
      assert.lengthOf(upstream.calls, 0)
      yield* FaultServer.atRest(server)
    })
  )

  it.live("headers over the limit: 431", () =>
    Effect.gen(function* () {
      const { server, upstream } = yield* start()
      const answer = Client.parseRaw(yield* Client.raw(server.port, head(`x-big: ${"y".repeat(20_000)}`)))
      assertRefused(answer, { status: 431, code: "headers_too_large" })
      assert.strictEqual(answer.headers["x-should-retry"], "false")
      assert.strictEqual(answer.headers.connection, "close")
      assert.lengthOf(upstream.calls, 0)
    })
  )

  for (const [name, bytes] of [
    ["no HTTP at all", "hello\r\n\r\n"],
    ["a length that is no number", head("content-length: ten")],
    ["two lengths", head("content-length: 3\r\ncontent-length: 4")],
    ["length and chunks together", `${head("content-length: 3\r\ntransfer-encoding: chunked")}3\r\nabc\r\n0\r\n\r\n`],
    ["a chunk size that is no number", `${head("transfer-encoding: chunked")}zz\r\n`]
  ] as const) {
    it.live(`${name}: 400`, () =>
      Effect.gen(function* () {
        const { server, upstream } = yield* start()
        const answer = Client.parseRaw(yield* Client.raw(server.port, bytes))
        assertRefused(answer, { status: 400, code: "malformed_http" })
        assert.strictEqual(answer.headers["x-should-retry"], "false")
        assert.strictEqual(answer.headers.connection, "close")
        assert.lengthOf(upstream.calls, 0)
        yield* FaultServer.atRest(server)
      })
    )
  }

  it.live("a client that leaves in the middle of its body leaves nothing behind", () =>
    Effect.gen(function* () {
      const { server, upstream } = yield* start()
      yield* Effect.callback<void>((resume) => {
        const socket = Net.connect(server.port, "127.0.0.1", () => {
          socket.write(`${head("content-length: 100")}{"model":`, () => socket.resetAndDestroy())
        })
        socket.on("close", () => resume(Effect.void))
      })
      const good = yield* Client.send(server.url, { body: chat() })
      assert.strictEqual(good.status, 200)
      assert.lengthOf(upstream.calls, 1)
      yield* FaultServer.atRest(server)
    })
  )
})

describe("two requests on one connection", { timeout: 20_000 }, () => {
  it.live("pipelined: each gets its own answer, in order", () =>
    Effect.gen(function* () {
      const { server } = yield* start()
      const good = JSON.stringify(chat())
      const text = yield* Client.raw(server.port, post(good) + post("{") + post(good, "connection: close\r\n"))
      assert.deepStrictEqual(
        [...text.matchAll(/HTTP\/1\.1 (\d+)/gu)].map((match) => match[1]),
        ["200", "400", "200"]
      )
    })
  )

  it.live("rubbish behind a streamed request does not become a part of its answer", () =>
    Effect.gen(function* () {
      const upstream = yield* Upstream.start((call) => Answers.begin(call, [Answers.chunk({ content: "first" })]))
      const server = yield* FaultServer.start(FaultServer.upstreamAt(upstream.origin))
      const body = JSON.stringify(chat({ stream: true }))
      const text = yield* Effect.callback<string>((resume) => {
        let received = ""
        const socket = Net.connect(server.port, "127.0.0.1", () => {
          socket.write(`POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: ${body.length}\r\n\r\n${body}`)
        })
        socket.setEncoding("utf8")
        socket.on("error", () => {})
        socket.on("data", (part: string) => {
          const before = received.includes("first")
          received += part
          if (!before && received.includes("first")) socket.write("rubbish\r\n\r\n")
        })
        socket.on("close", () => resume(Effect.succeed(received)))
        return Effect.sync(() => socket.destroy())
      })
      assert.lengthOf([...text.matchAll(/HTTP\/1\.1/gu)], 1, text)
      yield* upstream.nextClose
      yield* FaultServer.atRest(server)
    })
  )
})
