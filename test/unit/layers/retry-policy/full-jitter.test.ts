import { assert, describe, it } from "@effect/vitest"
import { Effect, Random } from "effect"
import { TestClock } from "effect/testing"
import {
  BulkheadError,
  CircuitBreakerError,
  DeadlineError,
  KillSwitchError,
  ProviderError,
  RateLimitError,
  RequestError
} from "../../../../src/domain/errors.ts"
import type { CompleteError } from "../../../../src/domain/errors.ts"
import { defaults } from "../../../../src/domain/policy.ts"
import * as RetryPolicyFullJitter from "../../../../src/layers/retry-policy/full-jitter.ts"
import * as Deadline from "../../../../src/services/deadline.ts"
import { RetryPolicy } from "../../../../src/services/retry-policy.ts"

const policy = { ...defaults.retry, maxRetries: 4, baseMs: 100, capMs: 500 }
const overloaded = (retryAfterMs?: number) =>
  new ProviderError({
    provider: "openai",
    reason: { _tag: "Overloaded", detail: "busy", ...(retryAfterMs === undefined ? {} : { retryAfterMs }) }
  })
const limited = (retryAfterMs: number) =>
  new ProviderError({ provider: "openai", reason: { _tag: "RateLimited", detail: "slow down", retryAfterMs } })

const decide = (error: CompleteError, retry = 0, deadline = Deadline.none) =>
  Effect.flatMap(RetryPolicy, (retries) => retries.decide(error, retry, deadline))

/** The pauses of many draws. */
const pauses = (error: CompleteError, retry: number) =>
  Effect.map(Effect.all(Array.from({ length: 300 }, () => decide(error, retry))), (decisions) =>
    decisions.map((decision) => (decision._tag === "Retry" ? decision.afterMs : assert.fail(decision._tag)))
  )

const effect = <A, E>(title: string, test: Effect.Effect<A, E, RetryPolicy>) =>
  it.effect(title, () => test.pipe(Random.withSeed("retry"), Effect.provide(RetryPolicyFullJitter.layer(policy))))

describe("RetryPolicy: full jitter", () => {
  effect(
    "draws from the whole range, which doubles up to the cap",
    Effect.gen(function* () {
      for (const [retry, range] of [
        [0, 100],
        [1, 200],
        [2, 400],
        [3, 500]
      ] as const) {
        const drawn = yield* pauses(overloaded(), retry)
        assert.isAtMost(Math.max(...drawn), range)
        assert.isAbove(Math.max(...drawn), range * 0.9)
        assert.isBelow(Math.min(...drawn), range * 0.1)
      }
    })
  )

  effect(
    "never comes before Retry-After, and adds jitter to it",
    Effect.gen(function* () {
      const drawn = yield* pauses(limited(2_000), 0)
      assert.isAtLeast(Math.min(...drawn), 2_000)
      assert.isAtMost(Math.max(...drawn), 2_100)
      assert.isAbove(new Set(drawn).size, 250)
    })
  )

  effect(
    "the class of the error decides",
    Effect.gen(function* () {
      const provider = "openai"
      const cases: Array<[CompleteError, "Retry" | "Next" | "Stop"]> = [
        [overloaded(), "Retry"],
        [new ProviderError({ provider, reason: { _tag: "Unreachable", detail: "refused" } }), "Retry"],
        [new ProviderError({ provider, reason: { _tag: "QuotaExhausted", detail: "pay" } }), "Next"],
        [new ProviderError({ provider, reason: { _tag: "Authentication", detail: "key" } }), "Next"],
        [new ProviderError({ provider, reason: { _tag: "BadRequest", detail: "no" } }), "Stop"],
        [new CircuitBreakerError({ reason: { _tag: "Open", key: "k", retryAfterMs: 1 } }), "Next"],
        [new BulkheadError({ reason: { _tag: "QueueFull", key: "k", retryAfterMs: 1 } }), "Next"],
        [new KillSwitchError({ reason: { _tag: "Off", kind: "provider", target: "openai" } }), "Next"],
        [new DeadlineError({ reason: { _tag: "Exceeded", stage: "queue", budgetMs: 1 } }), "Stop"],
        [new RequestError({ reason: { _tag: "InvalidJson", detail: "x" } }), "Stop"],
        [
          new RateLimitError({
            reason: { _tag: "Exceeded", dimension: "user", unit: "requests", limit: 1, windowMs: 1, retryAfterMs: 1 }
          }),
          "Stop"
        ]
      ]
      for (const [error, expected] of cases) {
        assert.strictEqual((yield* decide(error))._tag, expected, `${error._tag}.${error.reason._tag}`)
      }
    })
  )

  effect(
    "used-up retries lead to the next candidate",
    Effect.gen(function* () {
      assert.strictEqual((yield* decide(overloaded(), 3))._tag, "Retry")
      assert.strictEqual((yield* decide(overloaded(), 4))._tag, "Next")
    })
  )

  effect(
    "a pause that does not end before the deadline leads to the next candidate",
    Effect.gen(function* () {
      yield* TestClock.setTime(1_000_000)
      const deadline = Deadline.within(1_000_000, 3_000)
      assert.strictEqual((yield* decide(limited(2_500), 0, deadline))._tag, "Retry")
      assert.strictEqual((yield* decide(limited(3_000), 0, deadline))._tag, "Next")
      yield* TestClock.adjust(3_000)
      assert.strictEqual((yield* decide(overloaded(), 0, deadline))._tag, "Next")
    })
  )
})
