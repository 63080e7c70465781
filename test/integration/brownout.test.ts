/**
 * The brownout ladder over real sockets: what a client sees of each rung, in
 * headers and body, while the simulated provider cuts, stalls, drips or is out.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Metric } from "effect"
import type { BallastConfigInput } from "../../src/domain/config-file.ts"
import type { ChatChunk, ChatCompletion } from "../../src/domain/chat.ts"
import type { FaultInput } from "../../src/layers/provider/sim/options.ts"
import { StaleAnswers } from "../../src/services/stale-answers.ts"
import * as Prometheus from "../support/prometheus.ts"
import * as Client from "../support/raw-client.ts"
import { boot, bootBeforeSim, quickSim, transparent, until } from "../support/server.ts"

const price = { inputPerMillion: 1, outputPerMillion: 2 }
const messages = [{ role: "user", content: "Hi" }]

/** Budget for whatever a test needs, no retries at the same place. */
const retry = { maxRetries: 0, budgetMax: 1_000, budgetConcurrent: 1, budgetRatio: 1 }

const partial = (policies: NonNullable<BallastConfigInput["policies"]> = {}): BallastConfigInput => ({
  policies: { ...transparent, retry, brownout: { partial: true }, ...policies }
})

const ask = (server: { readonly url: string }, rest: object = {}, headers: Readonly<Record<string, string>> = {}) =>
  Client.send(server.url, { body: { model: "chat", messages, ...rest }, headers })

/** One request that a fault strikes. */
const struck = (server: { readonly url: string }, fault: FaultInput, rest: object = {}) =>
  ask(server, { sim: { fault }, ...rest })

const bodyOf = (answer: Client.Answer): ChatCompletion => JSON.parse(answer.text)

/** The events of a stream; `[DONE]` stays text. */
const eventsOf = (answer: Client.Answer) =>
  answer.text
    .split("\n\n")
    .filter((frame) => frame !== "")
    .map((frame) => frame.replace(/^data: /, ""))

const rungOf = ({ headers }: Client.Answer) => [headers["x-llm-answer"], headers["x-llm-degraded-reason"]]

const textOf = (chunks: ReadonlyArray<ChatChunk>) =>
  chunks.map(({ choices }) => choices[0]?.delta.content ?? "").join("")

describe("full", () => {
  it.live("is said as well, of whole answers, streams and embeddings", () =>
    Effect.gen(function* () {
      const server = yield* boot()
      const embedding = Client.send(server.url, { path: "/v1/embeddings", body: { model: "embed", input: "hull" } })
      for (const answer of [yield* ask(server), yield* ask(server, { stream: true }), yield* embedding]) {
        assert.deepStrictEqual([answer.status, ...rungOf(answer)], [200, "full", undefined])
      }
    })
  )
})

describe("partial streams", () => {
  const faults: ReadonlyArray<readonly [FaultInput, string]> = [
    [{ kind: "cut", afterChunks: 3 }, "ProviderError.Truncated"],
    [{ kind: "stall", afterChunks: 3 }, "ProviderError.Timeout"],
    [{ kind: "broken-frame", afterChunks: 3 }, "ProviderError.BrokenFrame"],
    [{ kind: "stream-error", afterChunks: 3 }, "ProviderError.StreamError"]
  ]
  for (const [fault, reason] of faults) {
    it.live(`after ${fault.kind}: what came, a finish reason, a banner, what it cost, and the end`, () =>
      Effect.gen(function* () {
        const server = yield* bootBeforeSim(quickSim, partial({ timeouts: { idleMs: 100 } }))
        const answer = yield* struck(server, fault, { stream: true, stream_options: { include_usage: true } })
        assert.strictEqual(answer.status, 200)
        const events = eventsOf(answer)
        assert.strictEqual(events.pop(), "[DONE]")
        const chunks = events.map((event): ChatChunk => JSON.parse(event))
        assert.notStrictEqual(textOf(chunks), "")
        const [end, usage] = chunks.slice(-2)
        assert.strictEqual(end?.choices[0]?.finish_reason, "length")
        assert.deepInclude(end?.["ballast"], {
          partial: true,
          reason,
          request_id: answer.headers["x-request-id"]
        })
        assert.isAbove(usage?.usage?.completion_tokens ?? 0, 0)
        // A stream's headers are sent before anybody knows.
        assert.deepStrictEqual(rungOf(answer), ["full", undefined])
      })
    )
  }

  it.live("leave the usage out for who did not ask for it", () =>
    Effect.gen(function* () {
      const server = yield* bootBeforeSim(quickSim, partial())
      const events = eventsOf(yield* struck(server, { kind: "cut", afterChunks: 3 }, { stream: true }))
      assert.strictEqual(events.at(-1), "[DONE]")
      assert.isTrue(events.slice(0, -1).every((event) => !("usage" in JSON.parse(event))))
    })
  )

  it.live("are errors where partial answers are off, and where no word had come", () =>
    Effect.gen(function* () {
      const off = yield* bootBeforeSim(quickSim, partial({ brownout: { partial: false } }))
      const on = yield* bootBeforeSim(quickSim, partial())
      for (const [server, afterChunks] of [
        [off, 3],
        [on, 1]
      ] as const) {
        const events = eventsOf(yield* struck(server, { kind: "cut", afterChunks }, { stream: true }))
        assert.deepInclude(JSON.parse(events.at(-1) ?? "").error, { code: "upstream_truncated" })
      }
    })
  )
})

describe("partial whole answers", () => {
  it.live("what came until the deadline, with its price; the upstream call ends with it", () =>
    Effect.gen(function* () {
      const server = yield* bootBeforeSim(
        { ...quickSim, outputTokens: { median: 1_000, sigma: 0 } },
        partial({ timeouts: { hardMs: 400 } })
      )
      const answer = yield* struck(server, { kind: "slow-drip", factor: 20 })
      assert.deepStrictEqual([answer.status, ...rungOf(answer)], [200, "partial", "DeadlineError.Exceeded"])
      const body = bodyOf(answer)
      assert.strictEqual(body.object, "chat.completion")
      assert.strictEqual(body.choices[0]?.finish_reason, "length")
      assert.isNotEmpty(body.choices[0]?.message["content"])
      assert.deepInclude(body["ballast"], {
        partial: true,
        reason: "DeadlineError.Exceeded",
        request_id: answer.headers["x-request-id"]
      })
      const { completion_tokens: out = 0, prompt_tokens: into = 0 } = body.usage ?? {}
      assert.isAbove(out, 0)
      assert.strictEqual(answer.headers["x-llm-cost-usd"], ((into + 2 * out) / 1_000_000).toFixed(6))
      const { afterMs } = yield* until(server.sim.control.stats, ({ running }) => running === 0)
      assert.isBelow(afterMs, 1_000)
    })
  )

  it.live("what came before a cut, when nothing else can be had", () =>
    Effect.gen(function* () {
      const server = yield* bootBeforeSim(quickSim, partial())
      const answer = yield* struck(server, { kind: "cut", afterChunks: 4 })
      assert.deepStrictEqual([answer.status, ...rungOf(answer)], [200, "partial", "ProviderError.Truncated"])
      assert.strictEqual(bodyOf(answer).choices[0]?.finish_reason, "length")
    })
  )

  it.live("are whole ones while nothing is wrong", () =>
    Effect.gen(function* () {
      const server = yield* bootBeforeSim(quickSim, partial())
      const answer = yield* ask(server)
      assert.deepStrictEqual([answer.status, ...rungOf(answer)], [200, "full", undefined])
      const body = bodyOf(answer)
      assert.deepStrictEqual([body.object, body.choices[0]?.finish_reason], ["chat.completion", "stop"])
      assert.strictEqual(body.usage?.completion_tokens, 6)
    })
  )

  it.live("as a feature has it for itself", () =>
    Effect.gen(function* () {
      const server = yield* bootBeforeSim(quickSim, { ...partial(), features: { ledger: { partial: false } } })
      const sim = { fault: { kind: "cut", afterChunks: 3 } }
      const answer = yield* ask(server, { sim }, { "x-ballast-feature": "ledger" })
      assert.deepStrictEqual([answer.status, ...rungOf(answer)], [502, "refused", "ProviderError.Truncated"])
    })
  )
})

/** Provider `up` is out; `spare` has the smaller model. */
const out = (policies: NonNullable<BallastConfigInput["policies"]> = {}, smaller = true): BallastConfigInput => ({
  providers: {
    up: { kind: "sim", sim: { ...quickSim, faults: [{ kind: "outage" }] } },
    spare: { kind: "sim", sim: quickSim }
  },
  models: [
    { alias: "chat", candidates: ["up/large"], price, ...(smaller ? { smaller: "mini" } : {}) },
    { alias: "mini", candidates: ["spare/small"], price: { inputPerMillion: 0.1, outputPerMillion: 0.2 } }
  ],
  policies: { ...transparent, retry, ...policies }
})

describe("smaller model", () => {
  it.live("answers in an outage, by its own name and price", () =>
    Effect.gen(function* () {
      const server = yield* boot({ config: out() })
      for (const stream of [false, true]) {
        const answer = yield* ask(server, { stream })
        assert.deepStrictEqual([answer.status, ...rungOf(answer)], [200, "smaller-model", "ProviderError.Overloaded"])
        assert.deepInclude(answer.headers, {
          "x-llm-provider": "spare",
          "x-llm-model": "small",
          "x-llm-attempts": "2"
        })
        if (stream) continue
        const { completion_tokens: written = 0, prompt_tokens: into = 0 } = bodyOf(answer).usage ?? {}
        const micros = Math.ceil(into * 0.1) + Math.ceil(written * 0.2)
        assert.strictEqual(answer.headers["x-llm-cost-usd"], (micros / 1_000_000).toFixed(6))
      }
    })
  )
})

describe("stale", () => {
  it.live("is served streamed or whole, as asked, free of charge, with its age", () =>
    Effect.gen(function* () {
      const completion: ChatCompletion = {
        id: "chatcmpl-old",
        object: "chat.completion",
        created: 1,
        model: "large",
        choices: [{ index: 0, message: { role: "assistant", content: "As before." }, finish_reason: "stop" }]
      }
      const swap = Layer.succeed(StaleAnswers, {
        lookup: () =>
          Effect.succeed({
            answer: { _tag: "Whole" as const, completion, data: JSON.stringify(completion) },
            candidate: { provider: "up", model: "large" },
            ageMs: 90_500
          })
      })
      const server = yield* boot({ config: out(), swap })
      const whole = yield* ask(server)
      assert.deepStrictEqual([whole.status, ...rungOf(whole)], [200, "stale", "ProviderError.Overloaded"])
      assert.deepInclude(whole.headers, { age: "90", "x-llm-cost-usd": "0.000000", "x-llm-model": "large" })
      assert.deepStrictEqual(bodyOf(whole), completion)
      const streamed = yield* ask(server, { stream: true })
      assert.deepStrictEqual([streamed.status, ...rungOf(streamed)], [200, "stale", "ProviderError.Overloaded"])
      const events = eventsOf(streamed)
      assert.strictEqual(events.pop(), "[DONE]")
      assert.strictEqual(textOf(events.map((event): ChatChunk => JSON.parse(event))), "As before.")
    })
  )
})

describe("shorter", () => {
  it.live("is asked for while others wait, and says so", () =>
    Effect.gen(function* () {
      const server = yield* bootBeforeSim(
        { ...quickSim, outputTokens: { median: 40, sigma: 0 }, perToken: { medianMs: 5, sigma: 0 } },
        {
          features: { batch: { priority: "background" } },
          policies: {
            ...transparent,
            bulkhead: { maxInFlight: 1, maxQueue: 8 },
            brownout: { shorter: { maxTokens: 5, above: 0 } }
          }
        }
      )
      const batch = { "x-ballast-feature": "batch" }
      const asked: Array<Fiber.Fiber<Client.Answer>> = []
      for (let n = 1; n <= 4; n++) {
        asked.push(yield* Effect.forkChild(ask(server, {}, batch)))
        yield* until(server.active, (active) => active === n)
      }
      const answers = yield* Fiber.joinAll(asked)
      const rungs = answers.map((answer) => rungOf(answer).join(" "))
      // The first has the place and the second finds nobody waiting; the others find pressure.
      assert.deepStrictEqual(rungs.toSorted(), ["full ", "full ", "shorter pressure", "shorter pressure"])
      for (const answer of answers) {
        const [choice] = bodyOf(answer).choices
        const shorter = answer.headers["x-llm-answer"] === "shorter"
        assert.strictEqual(choice?.finish_reason, shorter ? "length" : "stop")
        assert.strictEqual(bodyOf(answer).usage?.completion_tokens, shorter ? 5 : 40)
      }
    })
  )
})

describe("refused", () => {
  it.live("has the operator's words and link, the request's id and when to try again", () =>
    Effect.gen(function* () {
      const refusal = { message: "Our AI provider is down; we are on it.", link: "https://status.example.com" }
      const server = yield* boot({ config: out({ brownout: { refusal } }, false) })
      const answer = yield* ask(server)
      assert.deepStrictEqual([answer.status, ...rungOf(answer)], [503, "refused", "ProviderError.Overloaded"])
      const { error } = JSON.parse(answer.text)
      assert.deepInclude(error, {
        type: "service_unavailable_error",
        code: "server_is_overloaded",
        param: null,
        request_id: answer.headers["x-request-id"],
        help: refusal.message,
        help_url: refusal.link
      })
      assert.isTrue(String(error.message).startsWith(`${refusal.message} (Provider 'up'`))
      assert.match(String(answer.headers["retry-after-ms"]), /^\d+$/)
      // A client's own mistake has none of it.
      const wrong = yield* ask(server, { n: 0 })
      assert.deepStrictEqual([wrong.status, ...rungOf(wrong)], [400, undefined, undefined])
      assert.notProperty(JSON.parse(wrong.text).error, "help")
    })
  )

  it.live("is said in a stream that cannot be ended otherwise, too", () =>
    Effect.gen(function* () {
      const server = yield* bootBeforeSim(
        quickSim,
        partial({ brownout: { refusal: { link: "https://status.example.com" } } })
      )
      const events = eventsOf(yield* struck(server, { kind: "cut", afterChunks: 3 }, { stream: true }))
      assert.deepInclude(JSON.parse(events.at(-1) ?? "").error, { help_url: "https://status.example.com" })
    })
  )
})

describe("metrics", () => {
  it.live("count answers by rung and reason, and bill the model that answered", () =>
    Effect.gen(function* () {
      const server = yield* boot({
        config: out({ rateLimits: { ...transparent.rateLimits, user: { requestsPerMinute: 2 } } })
      })
      for (let i = 0; i < 3; i++) yield* ask(server, { user: "ann" })
      yield* ask(server, { model: "mini" })
      const families = Prometheus.parse((yield* Client.send(server.admin, { path: "/metrics" })).text)
      const counts = (family: string, names: ReadonlyArray<string>) =>
        new Map(
          (families.get(family)?.samples ?? []).map(({ labels, value }) => [
            names.map((name) => labels[name]).join(" "),
            value
          ])
        )
      const answers = counts("llm_answers_total", ["model", "rung", "reason"])
      assert.strictEqual(answers.get("chat smaller-model ProviderError.Overloaded"), 2)
      assert.strictEqual(answers.get("chat refused RateLimitError.Exceeded"), 1)
      assert.strictEqual(answers.get("mini full none"), 1)
      const cost = counts("llm_cost_usd_total", ["model"])
      assert.isAbove(cost.get("mini") ?? 0, 0)
      assert.isUndefined(cost.get("chat"))
    }).pipe(
      Effect.provideServiceEffect(
        Metric.MetricRegistry,
        Effect.sync(() => new Map())
      )
    )
  )
})
