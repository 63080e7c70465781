import { assert, describe, it } from "@effect/vitest"
import { Effect, Random } from "effect"
import { TestClock } from "effect/testing"
import * as fc from "fast-check"
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
import type { RetryPolicyValues } from "../../../../src/domain/policy.ts"
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

const effect = <A, E>(title: string, test: Effect.Effect<A, E, RetryPolicy>, values: Partial<RetryPolicyValues> = {}) =>
  it.effect(title, () =>
    test.pipe(Random.withSeed("retry"), Effect.provide(RetryPolicyFullJitter.layer({ ...policy, ...values })))
  )

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
      assert.isAtMost(Math.max(...drawn), 2_400)
      assert.isAbove(Math.max(...drawn), 2_350)
      assert.isAbove(new Set(drawn).size, 250)
      const past = yield* pauses(limited(-5_000), 0)
      assert.isAtLeast(Math.min(...past), 0)
      assert.isAbove(Math.max(...past), 90)
      // A short one still gets the jitter of the backoff.
      const short = yield* pauses(limited(10), 1)
      assert.isAtLeast(Math.min(...short), 10)
      assert.isAbove(Math.max(...short), 190)
    })
  )

  effect(
    "for any error, retry and deadline: never before Retry-After, never past the deadline",
    Effect.gen(function* () {
      yield* TestClock.setTime(1_000_000)
      const samples = fc.sample(
        fc.record({
          asked: fc.option(fc.integer({ min: 0, max: 20_000 }), { nil: undefined }),
          retry: fc.nat(6),
          leftMs: fc.integer({ min: 0, max: 10_000 })
        }),
        500
      )
      for (const { asked, leftMs, retry } of samples) {
        const decision = yield* decide(overloaded(asked), retry, Deadline.within(1_000_000, leftMs))
        assert.notStrictEqual(decision._tag, "Stop")
        if (decision._tag !== "Retry") continue
        assert.isBelow(retry, policy.maxRetries)
        assert.isAtLeast(decision.afterMs, asked ?? 0)
        assert.isBelow(decision.afterMs, leftMs)
      }
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

/** Faults of p-retry 7.1.1, each as a test that this policy does not have it. */
describe("RetryPolicy: published faults of p-retry", () => {
  effect(
    "a hundred callers of four tries land on four instants",
    Effect.gen(function* () {
      const instants = new Set<number>()
      for (let caller = 0; caller < 100; caller++) {
        let at = 0
        for (let retry = 0; retry < 3; retry++) {
          const decision = yield* decide(overloaded(), retry)
          at += decision._tag === "Retry" ? decision.afterMs : assert.fail(decision._tag)
          instants.add(at)
        }
      }
      assert.isAbove(instants.size, 290)
      // Nor do they crowd: no tenth of the first range has more than a third of the callers.
      const firsts = yield* pauses(overloaded(), 0)
      for (let tenth = 0; tenth < 10; tenth++) {
        assert.isBelow(firsts.filter((ms) => Math.floor(ms / 10) === tenth).length, firsts.length / 3)
      }
    })
  )

  effect(
    "jitter vanishes at the cap",
    Effect.gen(function* () {
      for (const retry of [3, 10, 30]) {
        const drawn = yield* pauses(overloaded(), retry)
        assert.isAtMost(Math.max(...drawn), policy.capMs)
        assert.isBelow(Math.min(...drawn), policy.capMs * 0.1)
        assert.isAbove(new Set(drawn).size, 250)
      }
    }),
    { maxRetries: 100 }
  )

  effect(
    "a pause of more than 2^31 - 1 ms overflows and fires at once",
    Effect.gen(function* () {
      const month = 30 * 86_400_000
      for (const retry of [0, 40, 99, 5_000]) {
        const drawn = yield* pauses(overloaded(), retry)
        assert.isTrue(drawn.every((ms) => ms >= 0 && ms <= month))
        assert.isAbove(Math.max(...drawn), month / 2)
      }
      const [asked] = yield* pauses(limited(month), 0)
      assert.isAtLeast(asked!, month)
      // Nor does the one who sleeps so long wake up early.
      const fiber = yield* Effect.forkChild(Effect.sleep(asked!))
      yield* TestClock.adjust(month - 1)
      assert.isUndefined(fiber.pollUnsafe())
    }),
    { maxRetries: 10_000, baseMs: 30 * 86_400_000, capMs: 30 * 86_400_000 }
  )

  effect(
    "ten retries unless told otherwise, and the header is ignored",
    Effect.gen(function* () {
      assert.isAtMost(defaults.retry.maxRetries, 2)
      const [first] = yield* pauses(limited(60_000), 0)
      assert.isAtLeast(first!, 60_000)
    })
  )

  effect(
    "a deadline ends everything once it has come; before, it was too near for one candidate's queue alone",
    Effect.gen(function* () {
      const error = new DeadlineError({ reason: { _tag: "Exceeded", stage: "queue", budgetMs: 3_000 } })
      const deadline = Deadline.within(0, 3_000)
      assert.strictEqual((yield* decide(error, 0, deadline))._tag, "Next")
      yield* TestClock.adjust(3_000)
      assert.strictEqual((yield* decide(error, 0, deadline))._tag, "Stop")
    })
  )
})
