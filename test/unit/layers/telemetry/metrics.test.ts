import { setTimeout as nextTurn } from "node:timers/promises"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Usage from "../../../../src/domain/usage.ts"
import * as Metrics from "../../../../src/layers/telemetry/metrics.ts"
import type { RequestRecord } from "../../../../src/services/request-record.ts"
import { attempt, freshRegistry, record, series } from "../../../support/telemetry.ts"

const fresh = Effect.map(freshRegistry, (context) => {
  const recorder = Metrics.make(context)
  return {
    recorder,
    read: () => series(context),
    /** One request from begin to end. */
    see: (given: RequestRecord) => {
      recorder.begin()
      recorder.end(given)
    }
  }
})

/** Node shows its collector only to those who ask. */
setFlagsFromString("--expose-gc")
const collectGarbage: () => void = runInNewContext("gc")

/** The series whose name begins so. */
const named = (all: ReturnType<typeof series>, prefix: string) =>
  Object.fromEntries(Object.entries(all).filter(([name]) => name.startsWith(prefix)))

describe("metrics from records", () => {
  it.effect("count requests by model, operation, status and outcome", () =>
    Effect.gen(function* () {
      const { read, see } = yield* fresh
      see(record())
      see(record())
      see(record({ operation: "embeddings", model: "vectors" }))
      see(record({ outcome: "cancelled" }))
      see(record({ outcome: "defect" }))
      see(record({ outcome: "RateLimitError.Exceeded", model: undefined }))
      see(record({ outcome: "ProviderError.Truncated" }))
      assert.deepStrictEqual(named(read(), "llm_requests_total"), {
        "llm_requests_total{model=duo,operation=chat,outcome=ok,status=200}": 2,
        "llm_requests_total{model=vectors,operation=embeddings,outcome=ok,status=200}": 1,
        "llm_requests_total{model=duo,operation=chat,outcome=cancelled,status=499}": 1,
        "llm_requests_total{model=duo,operation=chat,outcome=defect,status=500}": 1,
        "llm_requests_total{model=__unknown__,operation=chat,outcome=RateLimitError.Exceeded,status=429}": 1,
        "llm_requests_total{model=duo,operation=chat,outcome=ProviderError.Truncated,status=502}": 1
      })
    })
  )

  it.effect("measure durations by status and first tokens by model, in seconds", () =>
    Effect.gen(function* () {
      const { read, see } = yield* fresh
      see(record())
      see(record({ endedAt: 1_100, openedAt: 1_060 }))
      see(record({ outcome: "ProviderError.Overloaded", openedAt: undefined, endedAt: 1_000 + 200_000 }))
      const all = read()
      const ok = all["llm_request_duration_seconds{model=duo,status=200}"]
      const failed = all["llm_request_duration_seconds{model=duo,status=503}"]
      const first = all["llm_time_to_first_token_seconds{model=duo}"]
      if (typeof ok !== "object" || typeof failed !== "object" || typeof first !== "object") return assert.fail("none")
      assert.deepInclude(ok, { count: 2, min: 0.1, max: 0.4 })
      assert.approximately(ok.sum, 0.5, 1e-9)
      // Cumulative, and 0.1 is still in the bucket of 0.1.
      assert.deepStrictEqual(ok.buckets.slice(0, 5), [
        [0.05, 0],
        [0.1, 1],
        [0.25, 1],
        [0.5, 2],
        [1, 2]
      ])
      // Longer than every bound: counted, in no bucket.
      assert.deepInclude(failed, { count: 1, sum: 200 })
      assert.deepStrictEqual(failed.buckets.at(-1), [120, 0])
      assert.deepInclude(first, { count: 2, max: 0.15, min: 0.06 })
    })
  )

  it.effect("a first token is measured where there was one, whatever came after it", () =>
    Effect.gen(function* () {
      const { read, see } = yield* fresh
      see(record({ outcome: "ProviderError.Truncated" }))
      see(record({ outcome: "RateLimitError.Exceeded", openedAt: undefined, attempts: [] }))
      const first = read()["llm_time_to_first_token_seconds{model=duo}"]
      assert.isTrue(typeof first === "object" && first.count === 1)
    })
  )

  it.effect("count hedges by who won them, and as tries, but neither as retries nor as fallbacks", () =>
    Effect.gen(function* () {
      const { read, see } = yield* fresh
      const two = { provider: "two", model: "m2" }
      const failed = "ProviderError.Overloaded"
      see(record({ attempts: [attempt({ outcome: "cancelled" }), attempt({ hedge: true, openedAt: 1_200 })] }))
      see(record({ attempts: [attempt({ openedAt: 1_200 }), attempt({ hedge: true, outcome: "cancelled" })] }))
      see(
        record({
          attempts: [
            attempt({ outcome: failed }),
            attempt({ candidate: two, hedge: true, outcome: failed }),
            attempt({ retry: 1, outcome: failed }),
            attempt({ retry: 1, hedge: true, outcome: failed }),
            attempt({ candidate: two, openedAt: 1_200 })
          ]
        })
      )
      const all = read()
      assert.deepStrictEqual(
        { ...named(all, "llm_hedges"), ...named(all, "llm_retries"), ...named(all, "llm_fallbacks") },
        {
          "llm_hedges_total{outcome=won,provider=one}": 1,
          "llm_hedges_total{outcome=lost,provider=one}": 2,
          "llm_hedges_total{outcome=lost,provider=two}": 1,
          "llm_retries_total{provider=one}": 1,
          "llm_retries_total{provider=two}": 0,
          "llm_fallbacks_total{from=one,to=two}": 1
        }
      )
      assert.strictEqual(all["llm_attempts_total{model=m1,outcome=ok,provider=one}"], 2)
    })
  )

  it.effect("count tries, retries and fallbacks", () =>
    Effect.gen(function* () {
      const { read, see } = yield* fresh
      const two = { provider: "two", model: "m2" }
      see(
        record({
          attempts: [
            attempt({ outcome: "ProviderError.Overloaded" }),
            attempt({ retry: 1, outcome: "ProviderError.Overloaded" }),
            attempt({ candidate: two, called: false, outcome: "CircuitBreakerError.Open" }),
            attempt({ candidate: { provider: "one", model: "m3" } })
          ]
        })
      )
      const all = read()
      assert.deepStrictEqual(
        { ...named(all, "llm_attempts"), ...named(all, "llm_retries"), ...named(all, "llm_fallbacks") },
        {
          "llm_attempts_total{model=m1,outcome=ProviderError.Overloaded,provider=one}": 2,
          "llm_attempts_total{model=m2,outcome=CircuitBreakerError.Open,provider=two}": 1,
          "llm_attempts_total{model=m3,outcome=ok,provider=one}": 1,
          "llm_retries_total{provider=one}": 1,
          "llm_retries_total{provider=two}": 0,
          "llm_fallbacks_total{from=one,to=two}": 1,
          "llm_fallbacks_total{from=two,to=one}": 1
        }
      )
    })
  )

  it.effect("candidates that are equal are one series, the same object or not", () =>
    Effect.gen(function* () {
      const { read, see } = yield* fresh
      for (let i = 0; i < 3; i++) {
        see(record({ attempts: [attempt({ candidate: { provider: "one", model: "m1", region: `eu-${i}` } })] }))
      }
      assert.deepStrictEqual(named(read(), "llm_attempts"), {
        "llm_attempts_total{model=m1,outcome=ok,provider=one}": 3
      })
    })
  )

  it.effect("a router that makes its candidates anew each time does not make the metrics grow", () =>
    Effect.gen(function* () {
      const { see } = yield* fresh
      const refs: Array<WeakRef<object>> = []
      for (let i = 0; i < 100; i++) {
        const candidate = { provider: "one", model: "m1" }
        refs.push(new WeakRef(candidate))
        see(record({ attempts: [attempt({ candidate })] }))
      }
      yield* Effect.promise(() => nextTurn())
      collectGarbage()
      const alive = refs.filter((ref) => ref.deref() !== undefined)
      assert.isBelow(alive.length, 10)
    })
  )

  it.effect("count refusals before any try by reason, and nothing else as one", () =>
    Effect.gen(function* () {
      const { read, see } = yield* fresh
      see(record({ attempts: [], outcome: "RateLimitError.Exceeded" }))
      see(record({ attempts: [], outcome: "RequestError.UnknownModel" }))
      see(record({ attempts: [attempt({ called: false })], outcome: "BulkheadError.QueueFull" }))
      see(record({ attempts: [] }))
      assert.deepStrictEqual(named(read(), "llm_refused"), {
        "llm_refused_total{reason=RateLimitError.Exceeded}": 1,
        "llm_refused_total{reason=RequestError.UnknownModel}": 1
      })
    })
  )

  it.effect("add up tokens and dollars by tenant and model", () =>
    Effect.gen(function* () {
      const { read, see } = yield* fresh
      see(record({ usage: Usage.make(100, 20), cost: 140 }))
      see(record({ usage: Usage.make(50, 10), cost: 70, outcome: "cancelled" }))
      see(record({ tenant: "other", usage: Usage.make(1, 1), cost: 3 }))
      see(record({ tenant: "refused", outcome: "RateLimitError.Exceeded" }))
      const all = read()
      assert.deepStrictEqual(
        { ...named(all, "llm_tokens_in"), ...named(all, "llm_tokens_out") },
        {
          "llm_tokens_in_total{model=duo,tenant=acme}": 150,
          "llm_tokens_in_total{model=duo,tenant=other}": 1,
          "llm_tokens_out_total{model=duo,tenant=acme}": 30,
          "llm_tokens_out_total{model=duo,tenant=other}": 1
        }
      )
      assert.approximately(Number(all["llm_cost_usd_total{model=duo,tenant=acme}"]), 0.00021, 1e-12)
    })
  )

  it.effect("name the first 200 tenants, the rest together; a known one keeps its name", () =>
    Effect.gen(function* () {
      const { read, see } = yield* fresh
      const usage = Usage.make(1, 0)
      for (let i = 0; i < 1_000; i++) see(record({ tenant: `t${i}`, usage }))
      see(record({ tenant: "t5", usage }))
      // Another model is no way round the cap.
      see(record({ tenant: "t999", model: "solo", usage }))
      const tokens = named(read(), "llm_tokens_in_total")
      assert.strictEqual(Object.keys(tokens).length, 202)
      assert.strictEqual(tokens["llm_tokens_in_total{model=duo,tenant=__other__}"], 800)
      assert.strictEqual(tokens["llm_tokens_in_total{model=duo,tenant=t5}"], 2)
      assert.strictEqual(tokens["llm_tokens_in_total{model=solo,tenant=__other__}"], 1)
    })
  )

  it.effect("no tenant, user, address or request id is a label of anything else", () =>
    Effect.gen(function* () {
      const { read, see } = yield* fresh
      for (let i = 0; i < 50; i++) see(record({ id: `req-${i}`, tenant: `tenant-${i}`, outcome: "cancelled" }))
      const names = Object.keys(read())
      assert.isTrue(names.every((name) => !name.includes("req-") && !name.includes("tenant-")))
    })
  )

  it.effect("count answers by model, rung and reason; not what was left or broke", () =>
    Effect.gen(function* () {
      const { read, see } = yield* fresh
      see(record())
      see(record())
      see(record({ rung: "smaller-model", degradedReason: "CircuitBreakerError.Open" }))
      see(record({ rung: "shorter", degradedReason: "pressure" }))
      see(record({ rung: "shorter", degradedReason: "pressure", outcome: "cancelled" }))
      see(record({ rung: "refused", degradedReason: "BulkheadError.QueueFull", outcome: "BulkheadError.QueueFull" }))
      see(record({ outcome: "ProviderError.Truncated" }))
      see(record({ outcome: "ProviderError.BadRequest" }))
      assert.deepStrictEqual(named(read(), "llm_answers_total"), {
        "llm_answers_total{model=duo,reason=none,rung=full}": 2,
        "llm_answers_total{model=duo,reason=CircuitBreakerError.Open,rung=smaller-model}": 1,
        "llm_answers_total{model=duo,reason=pressure,rung=shorter}": 1,
        "llm_answers_total{model=duo,reason=BulkheadError.QueueFull,rung=refused}": 1
      })
    })
  )

  it.effect("put what a smaller model cost to its own account", () =>
    Effect.gen(function* () {
      const { read, see } = yield* fresh
      see(record({ answeredBy: "small", usage: Usage.make(3, 4), cost: 2_000_000 }))
      assert.deepStrictEqual(named(read(), "llm_cost_usd_total"), {
        "llm_cost_usd_total{model=small,tenant=acme}": 2
      })
      assert.deepStrictEqual(Object.values(named(read(), "llm_requests_total")), [1])
      assert.property(read(), "llm_requests_total{model=duo,operation=chat,outcome=ok,status=200}")
    })
  )

  it.effect("count what is in flight, and come back to none", () =>
    Effect.gen(function* () {
      const { read, recorder } = yield* fresh
      const inFlight = () => read()["llm_requests_in_flight"]
      assert.strictEqual(inFlight(), 0)
      for (let i = 0; i < 3; i++) recorder.begin()
      assert.strictEqual(inFlight(), 3)
      for (const outcome of ["ok", "cancelled", "defect"] as const) recorder.end(record({ outcome }))
      assert.strictEqual(inFlight(), 0)
    })
  )
})
