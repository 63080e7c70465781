/**
 * Everything a provider can do wrong, through the real HTTP stack on both
 * sides: what the client gets, how often the provider was asked, and that a
 * failure after the commit point is never hidden.
 */
import * as Net from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Scope } from "effect"
import type { BallastConfigInput } from "../../src/domain/config-file.ts"
import * as FaultServer from "../support/fault-server.ts"
import * as Client from "../support/raw-client.ts"
import * as Upstream from "../support/scripted-upstream.ts"
import type { ScriptedCall } from "../support/scripted-upstream.ts"
import * as Answers from "../support/upstream-answers.ts"

type Handle = (call: ScriptedCall, index: number) => void

/** Little patience and short pauses, so that faults of time show soon. */
const policies: NonNullable<BallastConfigInput["policies"]> = {
  timeouts: { hardMs: 3_000, firstTokenMs: 120, idleMs: 120, streamMs: 60_000 },
  retry: { maxRetries: 2, baseMs: 1 },
  breaker: { minimumCalls: 1_000 }
}

const start = (handle: Handle, rest: BallastConfigInput = {}) =>
  Effect.gen(function* () {
    const upstream = yield* Upstream.start(handle)
    const server = yield* FaultServer.start(FaultServer.upstreamAt(upstream.origin, { policies, ...rest }))
    return { upstream, server }
  })

/** Two providers, `up` before `spare`. */
const startTwo = (handle: Handle, spareHandle: Handle, rest: BallastConfigInput = {}) =>
  Effect.gen(function* () {
    const spare = yield* Upstream.start(spareHandle)
    const { server, upstream } = yield* start(handle, {
      ...rest,
      providers: { spare: { kind: "openai-compatible", baseUrl: `${spare.origin}/v1` } },
      models: [{ alias: "m", candidates: ["up/upstream-model", "spare/upstream-model"], price: { inputPerMillion: 1 } }]
    })
    return { server, upstream, spare }
  })

const chat = (rest: object = {}) => ({ model: "m", messages: [{ role: "user", content: "Hi" }], ...rest })
const whole: Handle = (call) => Answers.json(call, Answers.completion({ content: "hello" }))
const streamed: Handle = (call) =>
  Answers.stream(call, [Answers.chunk({ content: "hello" }), Answers.chunk({}, "stop")])
/** Answers as it was asked. */
const good: Handle = (call, index) => (JSON.parse(call.body).stream === true ? streamed : whole)(call, index)
const fails =
  (status: number, error: object = {}, headers: Record<string, string> = {}): Handle =>
  (call) =>
    Answers.json(call, Answers.errorOf("the provider's words", error), status, headers)

const errorOf = (answer: Client.Answer) => JSON.parse(answer.text).error

interface Expected {
  readonly status: number
  readonly code: string
  readonly type: string
  /** Calls at the provider. */
  readonly calls: number
  readonly retry: boolean
}

const check = (answer: Client.Answer, upstream: Upstream.ScriptedUpstream, expected: Expected): void => {
  assert.deepStrictEqual(
    {
      status: answer.status,
      code: errorOf(answer).code,
      type: errorOf(answer).type,
      calls: upstream.calls.length,
      retry: answer.headers["x-should-retry"] === "true"
    },
    expected,
    answer.text
  )
  assert.strictEqual(errorOf(answer).request_id, answer.headers["x-request-id"])
}

const server5xx = { type: "server_error", retry: false, calls: 3 }
const unavailable = { type: "service_unavailable_error", retry: false, calls: 3 }
const rejected = { type: "invalid_request_error", retry: false, calls: 1 }

const statuses: ReadonlyArray<readonly [name: string, handle: Handle, expected: Expected]> = [
  ["400", fails(400), { ...rejected, status: 400, code: "invalid_request" }],
  ["400 with a code of its own", fails(400, { code: "bad_tool" }), { ...rejected, status: 400, code: "bad_tool" }],
  ["401", fails(401), { ...server5xx, status: 502, code: "upstream_authentication", calls: 1 }],
  ["403", fails(403), { ...server5xx, status: 502, code: "upstream_permission", calls: 1 }],
  ["404", fails(404), { ...server5xx, status: 502, code: "upstream_model_not_found", calls: 1 }],
  ["413", fails(413), { ...rejected, status: 413, code: "request_too_large" }],
  ["422", fails(422), { ...rejected, status: 400, code: "invalid_request" }],
  ["429", fails(429), { status: 429, type: "rate_limit_error", code: "rate_limit_exceeded", calls: 3, retry: false }],
  [
    "429 for want of money",
    fails(429, { code: "insufficient_quota" }),
    { status: 429, type: "insufficient_quota", code: "insufficient_quota", calls: 1, retry: false }
  ],
  ["500", fails(500), { ...server5xx, status: 502, code: "upstream_error" }],
  [
    "502 with a proxy's page",
    (call) => void call.response.writeHead(502).end("<html>"),
    { ...server5xx, status: 502, code: "upstream_error" }
  ],
  ["503", fails(503), { ...unavailable, status: 503, code: "server_is_overloaded" }],
  ["529", fails(529), { ...unavailable, status: 503, code: "server_is_overloaded" }],
  [
    "500 that says not to retry",
    fails(500, {}, { "x-should-retry": "false" }),
    { ...server5xx, status: 502, code: "upstream_permission", calls: 1 }
  ],
  [
    "a redirect",
    (call) => void call.response.writeHead(302, { location: "/" }).end(),
    { ...server5xx, status: 502, code: "upstream_bad_response" }
  ],
  [
    "200 that is no JSON",
    (call) => void call.response.end("hello"),
    { ...server5xx, status: 502, code: "upstream_bad_response" }
  ],
  [
    "200 without choices",
    (call) => Answers.json(call, { ok: true }),
    { ...server5xx, status: 502, code: "upstream_bad_response" }
  ],
  [
    "200 with an error in it",
    (call) => Answers.json(call, Answers.errorOf("no")),
    { ...server5xx, status: 502, code: "upstream_stream_error" }
  ]
]

describe("a status", { timeout: 20_000 }, () => {
  for (const [name, handle, expected] of statuses) {
    it.live(name, () =>
      Effect.gen(function* () {
        const { server, upstream } = yield* start(handle)
        const answer = yield* Client.send(server.url, { body: chat() })
        check(answer, upstream, expected)
        assert.strictEqual(answer.headers["x-llm-attempts"], undefined)
        yield* FaultServer.atRest(server)
      })
    )
  }

  for (const [name, handle, expected] of statuses.slice(0, 13)) {
    it.live(`${name}, to a request for a stream: the same, as JSON`, () =>
      Effect.gen(function* () {
        const { server, upstream } = yield* start(handle)
        const answer = yield* Client.send(server.url, { body: chat({ stream: true }) })
        check(answer, upstream, expected)
        assert.strictEqual(answer.headers["content-type"], "application/json")
        yield* FaultServer.atRest(server)
      })
    )
  }

  it.live("a failure that passes is not seen by the client", () =>
    Effect.gen(function* () {
      const { server, upstream } = yield* start((call, index) => (index < 2 ? fails(500) : good)(call, index))
      const answer = yield* Client.send(server.url, { body: chat() })
      assert.strictEqual(answer.status, 200)
      assert.strictEqual(answer.headers["x-llm-attempts"], "3")
      assert.lengthOf(upstream.calls, 3)
    })
  )

  it.live("embeddings are retried and refused in the same way", () =>
    Effect.gen(function* () {
      const { server, upstream } = yield* start(fails(500))
      const answer = yield* Client.send(server.url, { path: "/v1/embeddings", body: { model: "e", input: "a" } })
      check(answer, upstream, { ...server5xx, status: 502, code: "upstream_error" })
      yield* FaultServer.atRest(server)
    })
  )
})

describe("Retry-After", { timeout: 20_000 }, () => {
  const forms: ReadonlyArray<readonly [name: string, headers: () => Record<string, string>, leastMs: number]> = [
    ["milliseconds", () => ({ "retry-after-ms": "150" }), 150],
    ["milliseconds beside seconds", () => ({ "retry-after-ms": "150", "retry-after": "60" }), 150],
    ["seconds", () => ({ "retry-after": "1" }), 1_000],
    ["a fraction of seconds", () => ({ "retry-after": "0.15" }), 150],
    // A date has whole seconds: from now it is one to two of them away.
    ["a date", () => ({ "retry-after": new Date(Date.now() + 2_000).toUTCString() }), 990]
  ]
  for (const [name, headers, leastMs] of forms) {
    for (const status of [429, 503]) {
      it.live(`${status}: ${name} is never undercut`, () =>
        Effect.gen(function* () {
          const at: Array<number> = []
          const { server, upstream } = yield* start((call, index) => {
            at.push(performance.now())
            if (index === 0) fails(status, {}, headers())(call, index)
            else good(call, index)
          })
          const answer = yield* Client.send(server.url, { body: chat() })
          assert.strictEqual(answer.status, 200)
          assert.lengthOf(upstream.calls, 2)
          // Clocks are read at both ends of a socket: a millisecond is within the reading.
          assert.isAtLeast(at[1]! - at[0]!, leastMs - 1)
        })
      )
    }
  }

  it.live("longer than the deadline: refused now, and the client is told when", () =>
    Effect.gen(function* () {
      const { server, upstream } = yield* start(fails(429, {}, { "retry-after": "30" }))
      const began = performance.now()
      const answer = yield* Client.send(server.url, { body: chat() })
      assert.isBelow(performance.now() - began, 1_000)
      check(answer, upstream, {
        status: 429,
        type: "rate_limit_error",
        code: "rate_limit_exceeded",
        calls: 1,
        retry: true
      })
      const seconds = Number(answer.headers["retry-after"])
      assert.isAtLeast(seconds, 30)
      assert.isAtMost(seconds, 34)
      assert.isAtLeast(Number(answer.headers["retry-after-ms"]), 30_000)
    })
  )

  it.live("longer than clients obey: they are told not to retry", () =>
    Effect.gen(function* () {
      const { server } = yield* start(fails(429, {}, { "retry-after": "3600" }))
      const answer = yield* Client.send(server.url, { body: chat() })
      assert.strictEqual(answer.status, 429)
      assert.strictEqual(answer.headers["x-should-retry"], "false")
      assert.isAtLeast(Number(answer.headers["retry-after"]), 3_600)
    })
  )

  it.live("longer than the deadline: the next candidate answers at once", () =>
    Effect.gen(function* () {
      const { server, spare, upstream } = yield* startTwo(fails(429, {}, { "retry-after": "30" }), good)
      const began = performance.now()
      const answer = yield* Client.send(server.url, { body: chat() })
      assert.strictEqual(answer.status, 200)
      assert.isBelow(performance.now() - began, 1_000)
      assert.deepStrictEqual([upstream.calls.length, spare.calls.length], [1, 1])
      assert.strictEqual(answer.headers["x-llm-provider"], "spare")
    })
  )
})

const cutBeforeHeaders: Handle = ({ socket }) => void socket.destroy()
const hang: Handle = () => {}
const hangAfterHeaders: Handle = (call) => {
  Answers.begin(call, [])
  call.response.flushHeaders()
}
const cutBeforeChunk: Handle = (call) => {
  hangAfterHeaders(call, 0)
  setImmediate(() => call.socket.destroy())
}
const endBeforeChunk: Handle = (call) => {
  Answers.begin(call, [])
  call.response.end()
}
const text: Handle = (call) => {
  Answers.begin(call, [])
  call.response.end("data: {broken\n\n")
}
const inBand: Handle = (call) => {
  Answers.begin(call, [Answers.errorOf("no")])
  call.response.end()
}

/** What may be retried without anybody noticing, as nothing has reached the client. */
const early: ReadonlyArray<readonly [name: string, handle: Handle, status: number, code: string]> = [
  ["the connection is cut before the headers", cutBeforeHeaders, 502, "upstream_unreachable"],
  ["a hang before the headers", hang, 504, "upstream_timeout"],
  ["a hang after the headers", hangAfterHeaders, 504, "upstream_timeout"],
  ["the connection is cut after the headers", cutBeforeChunk, 502, "upstream_truncated"],
  ["the stream ends before its first chunk", endBeforeChunk, 502, "upstream_truncated"],
  ["the first frame is broken", text, 502, "upstream_broken_frame"],
  ["the first frame is an error", inBand, 502, "upstream_stream_error"]
]

describe("before the first chunk", { timeout: 20_000 }, () => {
  for (const [name, handle, status, code] of early) {
    it.live(`${name}: three tries, then a plain error`, () =>
      Effect.gen(function* () {
        const { server, upstream } = yield* start(handle)
        const answer = yield* Client.send(server.url, { body: chat({ stream: true }) })
        check(answer, upstream, { status, code, type: "server_error", calls: 3, retry: false })
        yield* FaultServer.atRest(server)
      })
    )

    it.live(`${name}: the second candidate answers`, () =>
      Effect.gen(function* () {
        const { server, spare, upstream } = yield* startTwo(handle, good)
        const answer = yield* Client.send(server.url, { body: chat({ stream: true }) })
        assert.strictEqual(answer.status, 200)
        assert.strictEqual(Client.frames(answer.text).at(-1), "[DONE]")
        assert.deepStrictEqual([upstream.calls.length, spare.calls.length], [3, 1])
        yield* FaultServer.atRest(server)
        yield* FaultServer.atRest(server, "spare")
      })
    )
  }

  it.live("a whole answer that is cut in the middle is tried again too", () =>
    Effect.gen(function* () {
      const { server, upstream } = yield* start((call, index) => {
        if (index > 0) return whole(call, index)
        call.response.writeHead(200, { "content-type": "application/json", "content-length": "1000" })
        call.response.write('{"id":')
        setImmediate(() => call.socket.destroy())
      })
      const answer = yield* Client.send(server.url, { body: chat() })
      assert.strictEqual(answer.status, 200)
      assert.lengthOf(upstream.calls, 2)
    })
  )

  it.live("the connection is refused: three tries, then a plain error", () =>
    Effect.gen(function* () {
      const port = yield* closedPort
      const server = yield* FaultServer.start(FaultServer.upstreamAt(`http://127.0.0.1:${port}`, { policies }))
      const answer = yield* Client.send(server.url, { body: chat() })
      assert.strictEqual(answer.status, 502)
      assert.strictEqual(errorOf(answer).code, "upstream_unreachable")
      assert.strictEqual(yield* server.metric("llm_retries_total"), 2)
      // Where our provider lives is not the client's business.
      assert.notInclude(answer.text, "127.0.0.1")
      yield* FaultServer.atRest(server)
    })
  )

  it.live("a provider that cannot be reached has a spare", () =>
    Effect.gen(function* () {
      const port = yield* closedPort
      const spare = yield* Upstream.start(good)
      const server = yield* FaultServer.start(
        FaultServer.upstreamAt(`http://127.0.0.1:${port}`, {
          policies,
          providers: { spare: { kind: "openai-compatible", baseUrl: `${spare.origin}/v1` } },
          models: [{ alias: "m", candidates: ["up/x", "spare/x"], price: { inputPerMillion: 1 } }]
        })
      )
      const answer = yield* Client.send(server.url, { body: chat() })
      assert.strictEqual(answer.status, 200)
      assert.strictEqual(answer.headers["x-llm-attempts"], "4")
    })
  )

  for (const status of [400, 413, 422]) {
    it.live(`${status}: the request is at fault, so nobody else is asked`, () =>
      Effect.gen(function* () {
        const { server, spare, upstream } = yield* startTwo(fails(status), good)
        const answer = yield* Client.send(server.url, { body: chat() })
        assert.isAtLeast(Number(answer.status), 400)
        assert.deepStrictEqual([upstream.calls.length, spare.calls.length], [1, 0])
      })
    )
  }

  for (const status of [401, 403, 404]) {
    it.live(`${status}: the next candidate is asked at once`, () =>
      Effect.gen(function* () {
        const { server, spare, upstream } = yield* startTwo(fails(status), good)
        const answer = yield* Client.send(server.url, { body: chat() })
        assert.strictEqual(answer.status, 200)
        assert.deepStrictEqual([upstream.calls.length, spare.calls.length], [1, 1])
      })
    )
  }

  it.live("a hang past the deadline of the whole request is the deadline's error", () =>
    Effect.gen(function* () {
      const { server, upstream } = yield* start(hang, { policies: { ...policies, timeouts: { hardMs: 100 } } })
      const answer = yield* Client.send(server.url, { body: chat() })
      check(answer, upstream, { status: 504, code: "deadline_exceeded", type: "server_error", calls: 1, retry: true })
      yield* upstream.nextClose
      yield* FaultServer.atRest(server)
    })
  )
})

/** A port on which nobody listens: one that was just given back. */
const closedPort: Effect.Effect<number> = Effect.callback((resume) => {
  const server = Net.createServer()
  server.listen(0, "127.0.0.1", () => {
    const address = server.address()
    server.close(() => resume(Effect.succeed(typeof address === "object" ? (address?.port ?? 0) : 0)))
  })
})

const first = Answers.chunk({ role: "assistant", content: "hel" })
const afterFirst =
  (then: (call: ScriptedCall) => void): Handle =>
  (call) => {
    Answers.begin(call, [first])
    then(call)
  }

const late: ReadonlyArray<readonly [name: string, then: (call: ScriptedCall) => void, code: string]> = [
  [
    "the connection is cut",
    ({ response, socket }) => response.write("", () => setImmediate(() => socket.destroy())),
    "upstream_truncated"
  ],
  ["the stream ends without its terminator", ({ response }) => void response.end(), "upstream_truncated"],
  ["a frame is broken", ({ response }) => void response.write("data: {broken\n\n"), "upstream_broken_frame"],
  ["a frame is no chunk", ({ response }) => void response.write('data: {"a":1}\n\n'), "upstream_broken_frame"],
  [
    "a frame is an error",
    ({ response }) => void response.write(`data: ${JSON.stringify(Answers.errorOf("no"))}\n\n`),
    "upstream_stream_error"
  ],
  ["no further chunk comes", () => {}, "upstream_timeout"]
]

describe("after the first chunk", { timeout: 20_000 }, () => {
  for (const [name, then, code] of late) {
    it.live(`${name}: an error in the stream, no [DONE], nobody else is asked`, () =>
      Effect.gen(function* () {
        const { server, spare, upstream } = yield* startTwo(afterFirst(then), good)
        const answer = yield* Client.send(server.url, { body: chat({ stream: true }) })
        assert.strictEqual(answer.status, 200)
        const got = Client.frames(answer.text)
        assert.lengthOf(got, 2, answer.text)
        assert.deepStrictEqual(JSON.parse(got[0]!), first)
        const { error } = JSON.parse(got[1]!)
        assert.strictEqual(error.code, code)
        assert.strictEqual(error.request_id, answer.headers["x-request-id"])
        assert.notInclude(answer.text, "[DONE]")
        // The HTTP message itself ends well: the failure is said in words.
        assert.isUndefined(answer.error)
        assert.deepStrictEqual([upstream.calls.length, spare.calls.length], [1, 0])
        yield* upstream.nextClose
        yield* FaultServer.atRest(server)
      })
    )
  }

  it.live("chunks that drip for ever: cut when the stream has lived too long", () =>
    Effect.gen(function* () {
      const drip: Array<NodeJS.Timeout> = []
      const { server, upstream } = yield* start(
        afterFirst(({ response }) => {
          const each = setInterval(() => response.write(`data: ${JSON.stringify(first)}\n\n`), 20)
          drip.push(each)
          response.on("close", () => clearInterval(each))
        }),
        { policies: { ...policies, timeouts: { firstTokenMs: 200, idleMs: 200, hardMs: 200, streamMs: 300 } } }
      )
      yield* Effect.addFinalizer(() => Effect.sync(() => drip.forEach((each) => clearInterval(each))))
      const began = performance.now()
      const answer = yield* Client.send(server.url, { body: chat({ stream: true }) })
      const took = performance.now() - began
      assert.isAtLeast(took, 290)
      assert.isBelow(took, 1_500)
      const last = Client.frames(answer.text).at(-1)!
      assert.strictEqual(JSON.parse(last).error.code, "upstream_timeout")
      assert.notInclude(answer.text, "[DONE]")
      yield* upstream.nextClose
      yield* FaultServer.atRest(server)
    })
  )

  it.live("a stream may go on past the hard limit of its first token", () =>
    Effect.gen(function* () {
      const { server } = yield* start(
        afterFirst(({ response }) => {
          setTimeout(() => response.end(`data: ${JSON.stringify(Answers.chunk({}, "stop"))}\n\ndata: [DONE]\n\n`), 250)
        }),
        { policies: { ...policies, timeouts: { ...policies.timeouts, hardMs: 130, idleMs: 5_000 } } }
      )
      const answer = yield* Client.send(server.url, { body: chat({ stream: true }) })
      assert.strictEqual(Client.frames(answer.text).at(-1), "[DONE]")
    })
  )
})

describe("secrets", { timeout: 20_000 }, () => {
  const echo = `Incorrect API key provided: ${FaultServer.upstreamKey}. authorization: Bearer ${FaultServer.upstreamKey}`
  const echoes: ReadonlyArray<readonly [name: string, handle: Handle, stream: boolean]> = [
    ["in a 401", (call) => Answers.json(call, Answers.errorOf(echo, { code: FaultServer.upstreamKey }), 401), false],
    ["in a 400", (call) => Answers.json(call, Answers.errorOf(echo, { param: FaultServer.upstreamKey }), 400), false],
    ["in plain text", (call) => void call.response.writeHead(500).end(echo), false],
    ["in a broken answer", (call) => void call.response.end(echo), false],
    [
      "in an in-band error",
      afterFirst(({ response }) => void response.end(`data: ${JSON.stringify(Answers.errorOf(echo))}\n\n`)),
      true
    ]
  ]
  for (const [name, handle, stream] of echoes) {
    it.live(`a key that the provider echoes ${name} goes no further`, () =>
      Effect.gen(function* () {
        const { server, upstream } = yield* start(handle)
        const answer = yield* Client.send(server.url, { body: chat({ stream }) })
        assert.strictEqual(upstream.calls[0]?.request.headers.authorization, `Bearer ${FaultServer.upstreamKey}`)
        assert.notInclude(answer.text, FaultServer.upstreamKey)
        assert.notInclude(JSON.stringify(answer.headers), FaultServer.upstreamKey)
        assert.match(answer.text, /\[redacted\]|the answer is not JSON/u)
      })
    )
  }

  it.live("the caller's own key never goes to the provider", () =>
    Effect.gen(function* () {
      const { server, upstream } = yield* start(good)
      yield* Client.send(server.url, {
        body: chat(),
        headers: { authorization: "Bearer sk-caller", "x-api-key": "sk-caller", cookie: "session=sk-caller" }
      })
      assert.notInclude(JSON.stringify(upstream.calls[0]?.request.headers), "sk-caller")
    })
  )
})

const ask = (server: FaultServer.FaultServer): Effect.Effect<Client.Answer, never, Scope.Scope> =>
  Client.send(server.url, { body: chat() })

describe("the breaker", { timeout: 20_000 }, () => {
  it.live("opens after enough failures, refuses at once, probes, and closes again", () =>
    Effect.gen(function* () {
      let healthy = false
      const { server, upstream } = yield* start((call, index) => (healthy ? good : fails(500))(call, index), {
        policies: {
          ...policies,
          retry: { maxRetries: 0 },
          breaker: { minimumCalls: 4, openMs: 200, maxOpenMs: 200, probes: 1 }
        }
      })
      for (let i = 0; i < 4; i++) assert.strictEqual((yield* ask(server)).status, 502)
      assert.strictEqual(yield* server.breaker("up/upstream-model"), "open")
      const began = performance.now()
      const refused = yield* ask(server)
      check(refused, upstream, {
        status: 503,
        code: "provider_unavailable",
        type: "service_unavailable_error",
        calls: 4,
        retry: true
      })
      assert.isBelow(performance.now() - began, 100)
      assert.isAtLeast(Number(refused.headers["retry-after-ms"]), 1)
      assert.isAtMost(Number(refused.headers["retry-after-ms"]), 200 * 1.2 * 1.1 + 1)

      // A probe that fails opens it again.
      yield* FaultServer.eventually(server.breaker("up/upstream-model"), (state) => state === "half-open")
      assert.strictEqual((yield* ask(server)).status, 502)
      assert.lengthOf(upstream.calls, 5)
      assert.strictEqual((yield* ask(server)).status, 503)

      healthy = true
      yield* FaultServer.eventually(server.breaker("up/upstream-model"), (state) => state === "half-open")
      assert.strictEqual((yield* ask(server)).status, 200)
      assert.strictEqual(yield* server.breaker("up/upstream-model"), "closed")
      assert.strictEqual((yield* ask(server)).status, 200)
      assert.lengthOf(upstream.calls, 7)
      yield* FaultServer.atRest(server)
    })
  )

  it.live("that is open sends requests to the next candidate, without a call", () =>
    Effect.gen(function* () {
      const { server, spare, upstream } = yield* startTwo(fails(500), good, {
        policies: { ...policies, retry: { maxRetries: 0 }, breaker: { minimumCalls: 2 } }
      })
      for (let i = 0; i < 5; i++) assert.strictEqual((yield* ask(server)).status, 200)
      assert.deepStrictEqual([upstream.calls.length, spare.calls.length], [2, 5])
    })
  )

  for (const status of [400, 401, 404, 429]) {
    it.live(`does not open for ${status}`, () =>
      Effect.gen(function* () {
        const { server } = yield* start(fails(status), {
          policies: { ...policies, retry: { maxRetries: 0 }, breaker: { minimumCalls: 2 } }
        })
        for (let i = 0; i < 6; i++) yield* ask(server)
        assert.strictEqual(yield* server.breaker("up/upstream-model"), "closed")
      })
    )
  }

  it.live("opens for streams that break after they began", () =>
    Effect.gen(function* () {
      const { server } = yield* start(
        afterFirst(({ response }) => void response.end()),
        { policies: { ...policies, breaker: { minimumCalls: 3 } } }
      )
      for (let i = 0; i < 3; i++) yield* Client.send(server.url, { body: chat({ stream: true }) })
      assert.strictEqual(yield* server.breaker("up/upstream-model"), "open")
    })
  )
})

describe("a provider that is down for everybody", { timeout: 20_000 }, () => {
  it.live("is asked no more than 1.15 times for each request, in the long run", () =>
    Effect.gen(function* () {
      const { server, upstream } = yield* start(fails(503), {
        policies: { ...policies, rateLimits: { user: {}, ip: { requestsPerMinute: null } } }
      })
      const requests = 200
      for (let i = 0; i < requests; i++) yield* Client.send(server.url, { body: chat() })
      assert.isAtMost(upstream.calls.length, Math.ceil(requests * 1.15))
      yield* FaultServer.atRest(server)
    })
  )
})
