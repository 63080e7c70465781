import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import * as Caller from "../../../../src/domain/caller.ts"
import * as Headers from "../../../../src/programs/server/headers.ts"
import type { LimitState } from "../../../../src/services/rate-limiter.ts"
import { make } from "../../../../src/services/request-record.ts"
import type { RequestRecord } from "../../../../src/services/request-record.ts"
import { headersOf } from "../../../support/exchange.ts"

const recordOf = (fields: Partial<RequestRecord> = {}): RequestRecord => ({
  ...make({ id: "req_1", operation: "chat", caller: Caller.make("acme"), startedAt: 1_000 }),
  ...fields
})

const state = (dimension: LimitState["dimension"], fields: Partial<LimitState> = {}): LimitState => ({
  dimension,
  unit: "requests",
  limit: 100,
  remaining: 50,
  windowMs: 60_000,
  resetMs: 30_000,
  ...fields
})

describe("goDuration", () => {
  it.each([
    [-5, "0s"],
    [0, "0s"],
    [0.2, "1ms"],
    [12, "12ms"],
    [999, "999ms"],
    [999.5, "1s"],
    [1_000, "1s"],
    [1_001, "1.01s"],
    [1_500, "1.5s"],
    [59_990, "59.99s"],
    [59_995, "1m0s"],
    [60_000, "1m0s"],
    [90_250, "1m30.25s"],
    [119_999, "2m0s"],
    [360_000, "6m0s"],
    [3_599_999, "1h0m0s"],
    [3_600_000, "1h0m0s"],
    [5_025_500, "1h23m45.5s"],
    [90_000_000, "25h0m0s"]
  ])("%d ms is %s", (ms, text) => assert.strictEqual(Headers.goDuration(ms), text))

  it("reads back as no less than it was, and hardly more", () => {
    const units = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1 }
    const parse = (text: string) =>
      Array.from(text.matchAll(/([\d.]+)(ms|h|m|s)/g)).reduce(
        (sum, [, value, unit]) => sum + Number(value) * units[unit as keyof typeof units],
        0
      )
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1e8, noNaN: true }), (ms) => {
        const text = Headers.goDuration(ms)
        assert.match(text, /^(\d+h)?(\d+m)?\d+(\.\d{1,2})?s$|^\d+ms$/)
        assert.isAtLeast(parse(text), ms - 1e-6)
        assert.isAtMost(parse(text) - ms, ms <= 999 ? 1 : 10.001)
        assert.notMatch(text, /(^|[hm])(60|[6-9]\d)(\.\d+)?[ms](?!s)/)
      })
    )
  })
})

describe("common", () => {
  it("has the id and the time it took, and nothing of limits that nobody checked", () => {
    assert.deepStrictEqual(headersOf(Headers.common(recordOf(), 1_042)), {
      "x-request-id": "req_1",
      "openai-processing-ms": "42"
    })
  })

  it("shows the tightest limit of each kind to OpenAI's clients, and all but the global one as RateLimit", () => {
    const limits = [
      state("user", { remaining: 7.9, resetMs: 1_200 }),
      state("ip", { limit: 200, remaining: 150 }),
      state("global", { limit: 5_000, remaining: 3, resetMs: 100 }),
      state("tenant", { unit: "tokens", limit: 9_000, remaining: -4, resetMs: 60_500 })
    ]
    const {
      "openai-processing-ms": _,
      "x-request-id": __,
      ...rest
    } = headersOf(Headers.common(recordOf({ limits }), 1_000))
    assert.deepStrictEqual(rest, {
      "x-ratelimit-limit-requests": "5000",
      "x-ratelimit-remaining-requests": "3",
      "x-ratelimit-reset-requests": "100ms",
      "x-ratelimit-limit-tokens": "9000",
      "x-ratelimit-remaining-tokens": "0",
      "x-ratelimit-reset-tokens": "1m0.5s",
      "ratelimit-policy": '"user";q=100;w=60, "ip";q=200;w=60, "tenant-tokens";q=9000;w=60',
      ratelimit: '"user";r=7;t=2, "ip";r=150;t=30, "tenant-tokens";r=0;t=61'
    })
  })

  it("answers a caller's trace, and only a caller's", () => {
    const trace = { traceId: "a".repeat(32), spanId: "b".repeat(16), sampled: true, incoming: true }
    const of = (fields: Partial<typeof trace>) =>
      headersOf(Headers.common(recordOf({ trace: { ...trace, ...fields } }), 1_000))["traceresponse"]
    assert.strictEqual(of({}), `00-${"a".repeat(32)}-${"b".repeat(16)}-01`)
    assert.strictEqual(of({ sampled: false })?.slice(-2), "00")
    assert.isUndefined(of({ incoming: false }))
  })
})

describe("answer and stream", () => {
  const answered = recordOf({
    candidate: { provider: "openai", model: "gpt" },
    outcome: "ok",
    cost: 1_250,
    attempts: [true, false, true].map((called) => ({
      candidate: { provider: "openai", model: "gpt" },
      retry: 0,
      hedge: false,
      called,
      startedAt: 0,
      openedAt: undefined,
      endedAt: undefined,
      outcome: "ok" as const
    }))
  })

  it("say who answered, after how many calls, and what it cost", () => {
    assert.deepInclude(headersOf(Headers.answer(answered, 1_000, "application/json")), {
      "content-type": "application/json",
      "x-llm-provider": "openai",
      "x-llm-model": "gpt",
      "x-llm-attempts": "2",
      "x-llm-cost-usd": "0.001250"
    })
  })

  it("say how full the answer is, why it is not, and how old it is", () => {
    const full = headersOf(Headers.answer(answered, 1_000, "application/json"))
    assert.strictEqual(full["x-llm-answer"], "full")
    assert.notProperty(full, "x-llm-degraded-reason")
    assert.notProperty(full, "age")
    const stale = { rung: "stale", degradedReason: "CircuitBreakerError.Open" } as const
    const degraded = { rung: stale.rung, reason: stale.degradedReason, ageMs: 90_999 } as const
    for (const headers of [
      Headers.answer({ ...answered, ...stale }, 1_000, "application/json", degraded),
      Headers.stream({ ...answered, ...stale }, 1_000, degraded)
    ]) {
      assert.deepInclude(headersOf(headers), {
        "x-llm-answer": "stale",
        "x-llm-degraded-reason": "CircuitBreakerError.Open",
        age: "90"
      })
    }
  })

  it("say no price before the end is known", () => {
    const headers = headersOf(Headers.stream({ ...answered, outcome: "pending" }, 1_000))
    assert.notProperty(headers, "x-llm-cost-usd")
    assert.deepInclude(headers, {
      "content-type": "text/event-stream; charset=utf-8",
      "cache-control": "no-cache, no-transform",
      "x-accel-buffering": "no"
    })
  })
})
