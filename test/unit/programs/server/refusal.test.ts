import { assert, describe, it } from "@effect/vitest"
import { Effect, Random } from "effect"
import * as Caller from "../../../../src/domain/caller.ts"
import { isRefusal, retryAfterMs, rowOf } from "../../../../src/domain/error-table.ts"
import type { Help } from "../../../../src/domain/error-table.ts"
import * as Errors from "../../../../src/domain/errors.ts"
import type { BallastError } from "../../../../src/domain/errors.ts"
import * as Refusal from "../../../../src/programs/server/refusal.ts"
import { make } from "../../../../src/services/request-record.ts"
import { entries, samples } from "../../../support/error-samples.ts"
import { headersOf } from "../../../support/exchange.ts"

const record = (called = 0) => {
  const made = make({ id: "req_1", operation: "chat", caller: Caller.anonymous, startedAt: 0 })
  for (let i = 0; i < called; i++) {
    made.attempts.push({
      candidate: { provider: "p", model: "m" },
      retry: i,
      hedge: false,
      called: true,
      startedAt: 0,
      openedAt: undefined,
      endedAt: 0,
      outcome: "ProviderError.ServerError"
    })
  }
  return made
}

const refuse = (error: BallastError, called = 0, seed = "a", help: Help = {}) =>
  Effect.map(Refusal.make(error, record(called), 5, help).pipe(Random.withSeed(seed)), ({ body, headers, status }) => ({
    status,
    headers: headersOf(headers),
    error: JSON.parse(body).error
  }))

const limited = (waitMs: number) =>
  new Errors.RateLimitError({
    reason: { _tag: "Exceeded", dimension: "user", unit: "requests", limit: 1, windowMs: 60_000, retryAfterMs: waitMs }
  })

describe("a refusal", () => {
  it.effect.each(entries)("%s: its status, OpenAI's body, whether to retry", ([, error]) =>
    Effect.gen(function* () {
      const row = rowOf(error)
      const refusal = yield* refuse(error)
      assert.strictEqual(refusal.status, row.status)
      assert.strictEqual(refusal.error.message, error.message)
      assert.strictEqual(refusal.error.type, row.type)
      assert.strictEqual(refusal.error.request_id, "req_1")
      assert.deepInclude(refusal.headers, {
        "x-request-id": "req_1",
        "content-type": "application/json",
        "x-should-retry": String(row.clientRetry)
      })
    })
  )

  it.effect.each(entries)("%s: says when to retry, never too early, and only where it may", ([, error]) =>
    Effect.gen(function* () {
      const row = rowOf(error)
      const { headers } = yield* refuse(error)
      const pause = headers["retry-after-ms"]
      const known = retryAfterMs(error)
      assert.strictEqual(pause !== undefined, row.clientRetry && (known !== undefined || row.status === 503))
      if (pause === undefined) return assert.notProperty(headers, "retry-after")
      assert.isAtLeast(Number(pause), known ?? 1_000)
      assert.isAtMost(Number(pause), known === undefined ? 5_000 : Math.ceil(known * 1.1))
      assert.strictEqual(headers["retry-after"], String(Math.ceil(Number(pause) / 1_000)))
    })
  )

  it.effect.each(entries)("%s: is the last rung where the fault is not the client's", ([key, error]) =>
    Effect.gen(function* () {
      const { headers } = yield* refuse(error)
      const rung = [headers["x-llm-answer"], headers["x-llm-degraded-reason"]]
      assert.deepStrictEqual(rung, isRefusal(rowOf(error).status) ? ["refused", key] : [undefined, undefined])
    })
  )

  it.effect("has the operator's words and link", () =>
    Effect.gen(function* () {
      const help = { message: "We are on it.", link: "https://status.example.com" }
      const { error } = yield* refuse(samples["CircuitBreakerError.Open"], 0, "a", help)
      assert.deepInclude(error, { help: help.message, help_url: help.link, request_id: "req_1" })
      assert.isTrue(String(error.message).startsWith("We are on it. ("))
    })
  )

  it.effect("spreads the clients that it sends away", () =>
    Effect.gen(function* () {
      const pauses = yield* Effect.forEach(["a", "b", "c", "d", "e"], (seed) => refuse(limited(10_000), 0, seed))
      assert.strictEqual(new Set(pauses.map(({ headers }) => headers["retry-after-ms"])).size, 5)
    })
  )

  it.effect("lets a client not repeat what we have repeated", () =>
    Effect.gen(function* () {
      const error = samples["ProviderError.ServerError"]
      for (const [called, retry] of [
        [0, "true"],
        [1, "true"],
        [2, "false"]
      ] as const) {
        assert.strictEqual((yield* refuse(error, called)).headers["x-should-retry"], retry)
      }
    })
  )

  it.effect("lets a client not wait longer than it would: it would come back at once instead", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* refuse(limited(50_000))).headers["x-should-retry"], "true")
      const long = yield* refuse(limited(60_001))
      assert.strictEqual(long.headers["x-should-retry"], "false")
      assert.isAtLeast(Number(long.headers["retry-after"]), 61)
    })
  )

  it.effect("has the headers that its status asks for", () =>
    Effect.gen(function* () {
      assert.match((yield* refuse(samples["AuthError.MissingKey"])).headers["www-authenticate"] ?? "", /^Bearer realm=/)
      assert.strictEqual((yield* refuse(samples["RequestError.MethodNotAllowed"])).headers["allow"], "POST")
    })
  )
})

describe("in a stream", () => {
  it("is one event, without an end", () => {
    const text = Refusal.event(samples["ProviderError.Truncated"], "req_1", { message: "Sorry." })
    assert.match(text, /^data: [^\n]+\n\n$/)
    assert.deepInclude(JSON.parse(text.slice(6)).error, {
      code: "upstream_truncated",
      request_id: "req_1",
      help: "Sorry."
    })
  })

  it("a bug of ours says nothing but the id", () => {
    const { error } = JSON.parse(Refusal.defectBody("req_1"))
    assert.deepInclude(error, { code: "internal_error", request_id: "req_1" })
    assert.include(error.message, "req_1")
  })
})
