/** What every layer of the CircuitBreaker port must do. Runs in virtual time. */
import { assert, describe } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as Caller from "../../src/domain/caller.ts"
import { CircuitBreaker } from "../../src/services/circuit-breaker.ts"
import * as RequestRecord from "../../src/services/request-record.ts"
import { enter } from "../support/raw-entry.ts"
import { acquire, bad, call, hold, key, ok, refusal, slow, stateOf, tester, times } from "./circuit-breaker-kit.ts"
import type { MakeLayer } from "./circuit-breaker-kit.ts"
import * as Detection from "./circuit-breaker-detection.ts"
import * as OpenTime from "./circuit-breaker-open-time.ts"
import * as Panic from "./circuit-breaker-panic.ts"
import * as Probes from "./circuit-breaker-probes.ts"
import * as Published from "./circuit-breaker-published.ts"
import * as Slowness from "./circuit-breaker-slowness.ts"
import * as Usual from "./circuit-breaker-usual.ts"

export const suite = (name: string, layer: MakeLayer): void => {
  const effect = tester(layer)

  describe(`CircuitBreaker: ${name}`, () => {
    effect(
      "opens at the failure rate, not before the minimum of calls",
      Effect.gen(function* () {
        yield* times(9, bad)
        assert.strictEqual(yield* stateOf(), "closed")
        yield* bad
        assert.strictEqual(yield* stateOf(), "open")
      })
    )

    effect(
      "stays closed below the rate, and a success may complete the minimum",
      Effect.gen(function* () {
        yield* times(4, bad)
        yield* times(6, ok)
        assert.strictEqual(yield* stateOf(), "closed")
        yield* TestClock.adjust("1 minute")
        yield* times(5, bad)
        yield* times(4, ok)
        assert.strictEqual(yield* stateOf(), "closed")
        yield* ok
        assert.strictEqual(yield* stateOf(), "open")
      })
    )

    effect(
      "opens at the slow rate",
      Effect.gen(function* () {
        yield* times(2, ok)
        yield* times(7, slow)
        assert.strictEqual(yield* stateOf(), "closed")
        yield* slow
        assert.strictEqual(yield* stateOf(), "open")
      })
    )

    effect(
      "failures and slow answers are counted apart",
      Effect.gen(function* () {
        yield* times(40, ok)
        yield* times(15, bad)
        yield* times(15, slow)
        assert.strictEqual(yield* stateOf(), "closed")
      })
    )

    effect(
      "an open breaker refuses with the time until it probes, then admits probes",
      Effect.gen(function* () {
        yield* times(10, bad)
        const reason = yield* refusal()
        assert.strictEqual(reason._tag, "Open")
        assert.strictEqual(reason.key, key)
        assert.isAtLeast(reason.retryAfterMs, 4_000)
        assert.isAtMost(reason.retryAfterMs, 6_000)
        yield* TestClock.adjust(Math.floor(reason.retryAfterMs) - 1)
        assert.strictEqual((yield* refusal())._tag, "Open")
        yield* TestClock.adjust(2)
        yield* Effect.scoped(acquire())
      })
    )

    effect(
      "the first verdict counts",
      Effect.gen(function* () {
        const muddled = call((lease) => {
          lease.fail()
          lease.fail()
          lease.succeed(10)
          lease.cutShort(5_000)
          lease.gap(5_000)
        })
        yield* times(9, muddled)
        assert.strictEqual(yield* stateOf(), "closed")
        yield* muddled
        assert.strictEqual(yield* stateOf(), "open")
      })
    )

    effect(
      "an answer whose stream breaks later is one failed call, not two calls",
      Effect.gen(function* () {
        const brokenStream = call((lease) => {
          lease.succeed(10)
          lease.fail()
          lease.fail()
        })
        yield* times(9, brokenStream)
        assert.strictEqual(yield* stateOf(), "closed")
        yield* brokenStream
        assert.strictEqual(yield* stateOf(), "open")
      })
    )

    effect(
      "a call that we cut short counts as slow if it was, else not at all",
      Effect.gen(function* () {
        yield* times(
          20,
          call((lease) => lease.cutShort(900))
        )
        yield* times(9, bad)
        assert.strictEqual(yield* stateOf(), "closed")
        yield* TestClock.adjust("1 minute")
        yield* times(
          10,
          call((lease) => lease.cutShort(1_100))
        )
        assert.strictEqual(yield* stateOf(), "open")
      })
    )

    effect(
      "interrupted calls do not count, nor do those that were refused further on",
      Effect.gen(function* () {
        for (let i = 0; i < 50; i++) {
          const fiber = yield* Effect.forkChild(Effect.scoped(Effect.andThen(acquire(), Effect.never)))
          yield* Effect.yieldNow
          yield* Fiber.interrupt(fiber)
          yield* Effect.scoped(Effect.map(acquire(), (lease) => lease.begin()))
        }
        yield* times(9, bad)
        assert.strictEqual(yield* stateOf(), "closed")
        yield* bad
        assert.strictEqual(yield* stateOf(), "open")
      })
    )

    effect(
      "a verdict after the release does not count",
      Effect.gen(function* () {
        const breaker = yield* CircuitBreaker
        for (let i = 0; i < 20; i++) {
          const lease = yield* enter(breaker.acquireUnsafe(key))
          lease.begin()
          lease.release()
          lease.fail()
          lease.succeed(5_000)
          lease.cutShort(5_000)
        }
        assert.strictEqual(yield* stateOf(), "closed")
      })
    )

    effect(
      "keys are apart, and errors carry the request's id",
      Effect.gen(function* () {
        yield* times(10, bad)
        assert.strictEqual(yield* stateOf("anthropic/claude"), "closed")
        const record = RequestRecord.make({ id: "req-7", operation: "chat", caller: Caller.anonymous, startedAt: 0 })
        const error = yield* Effect.flip(
          Effect.provideService(Effect.scoped(acquire()), RequestRecord.CurrentRecord, record)
        )
        assert.strictEqual(error.requestId, "req-7")
      })
    )

    effect(
      "the raw way in and the scoped one are the same breaker",
      Effect.gen(function* () {
        const breaker = yield* CircuitBreaker
        const raw = yield* Effect.forEach(Array.from({ length: 5 }), () => enter(breaker.acquireUnsafe(key)))
        for (const lease of raw) lease.fail()
        yield* times(4, bad)
        assert.strictEqual(yield* stateOf(), "closed")
        ;(yield* enter(breaker.acquireUnsafe(key))).fail()
        assert.strictEqual(yield* stateOf(), "open")
        const refused = yield* Effect.flip(enter(breaker.acquireUnsafe(key), "req-8"))
        assert.deepStrictEqual(refused.reason, yield* refusal())
        assert.strictEqual(refused.requestId, "req-8")
      })
    )

    effect(
      "a call that waited while the breaker changed must not leave",
      Effect.gen(function* () {
        const queued = yield* hold()
        const left = yield* hold()
        assert.isTrue(left.lease.begin())
        yield* times(10, bad)
        assert.isFalse(queued.lease.begin())
        assert.strictEqual(yield* stateOf(), "open")
      })
    )
  })

  Detection.suite(name, layer)
  Slowness.suite(name, layer)
  Usual.suite(name, layer)
  OpenTime.suite(name, layer)
  Probes.suite(name, layer)
  Panic.suite(name, layer)
  Published.suite(name, layer)
}
