/** CircuitBreaker: how soon an outage is seen, what is none, and control by hand. */
import { assert, describe } from "@effect/vitest"
import { Clock, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { CircuitBreaker } from "../../src/services/circuit-breaker.ts"
import {
  acquire,
  bad,
  call,
  delivered,
  key,
  longestOpenMs,
  ok,
  openFor,
  paced,
  refusal,
  run,
  stateOf,
  tester,
  times,
  toHalfOpen,
  transitions
} from "./circuit-breaker-kit.ts"
import type { MakeLayer } from "./circuit-breaker-kit.ts"

/** A call that answers, or fails, after a while; refused ones are not made. Says whether it was let in. */
const lasting = (ms: number, good: boolean) =>
  Effect.scoped(
    Effect.gen(function* () {
      const lease = yield* acquire()
      lease.begin(false)
      yield* Effect.sleep(ms)
      if (good) lease.succeed(ms)
      else lease.fail()
    })
  ).pipe(
    Effect.as(true),
    Effect.catchTag("CircuitBreakerError", () => Effect.succeed(false))
  )

export const suite = (name: string, layer: MakeLayer): void => {
  const effect = tester(layer)

  describe(`CircuitBreaker: ${name}: detection`, () => {
    for (const perSecond of [2, 5, 20, 100, 400]) {
      effect(
        `after a healthy time an outage is seen within 20 calls or 5 s, at ${perSecond} calls/s`,
        Effect.gen(function* () {
          const everyMs = 1_000 / perSecond
          yield* paced(12 * perSecond, everyMs, ok)
          let calls = 0
          while ((yield* stateOf()) === "closed") {
            yield* TestClock.adjust(everyMs)
            yield* bad
            calls++
            assert.isTrue(calls <= 20 || calls * everyMs <= 5_000, `${calls} calls`)
          }
        })
      )
    }

    effect(
      "answers to older calls do not hide that all new ones fail",
      Effect.gen(function* () {
        for (let i = 0; i < 400; i++) {
          yield* Effect.forkScoped(lasting(1_000, true))
          yield* TestClock.adjust(50)
        }
        let calls = 0
        while ((yield* stateOf()) === "closed") {
          yield* Effect.forkScoped(lasting(50, false))
          yield* TestClock.adjust(50)
          calls++
          assert.isAtMost(calls, 10)
        }
      })
    )

    effect(
      "a share of failures below the rate opens nothing, however long",
      Effect.gen(function* () {
        for (let i = 0; i < 400; i++) {
          yield* paced(3, 50, ok)
          yield* paced(2, 50, bad)
          assert.strictEqual(yield* stateOf(), "closed")
        }
      })
    )

    effect(
      "one moment that takes all running calls along is no outage",
      Effect.gen(function* () {
        yield* paced(200, 50, ok)
        const running = yield* Effect.forEach(Array.from({ length: 20 }), () =>
          Effect.tap(run(), () => TestClock.adjust(50))
        )
        for (const { lease } of running) lease.fail()
        assert.strictEqual(yield* stateOf(), "closed")
        yield* paced(100, 50, ok)
        assert.strictEqual(yield* stateOf(), "closed")
      }),
      { slowFactor: 1_000_000 }
    )

    effect(
      "one good call among the first is as good as none",
      Effect.gen(function* () {
        yield* ok
        yield* times(8, bad)
        assert.strictEqual(yield* stateOf(), "closed")
        yield* bad
        assert.strictEqual(yield* stateOf(), "open")
      })
    )

    effect(
      "Retry-After makes the open time longer, with jitter on top, within twice the maximum",
      Effect.gen(function* () {
        yield* times(9, bad)
        yield* call((lease) => lease.fail(15_000))
        assert.isAtLeast(yield* openFor, 15_000)
        yield* call((lease) => lease.fail(3_600_000))
        const ms = yield* openFor
        assert.isAtLeast(ms, 40_000)
        assert.isAtMost(ms, 41_050)
      })
    )

    effect(
      "can be tripped by hand until it expires, and is probed then as usual",
      Effect.gen(function* () {
        const breaker = yield* CircuitBreaker
        yield* breaker.trip(key, 60_000)
        const reason = yield* refusal()
        assert.strictEqual(reason._tag, "Open")
        assert.approximately(reason.retryAfterMs, 60_000, 1)
        yield* TestClock.adjust(59_999)
        assert.strictEqual(yield* stateOf(), "open")
        yield* TestClock.adjust(1)
        assert.strictEqual(yield* stateOf(), "half-open")
        yield* times(3, ok)
        assert.strictEqual(yield* stateOf(), "closed")
        yield* breaker.trip(key, Infinity)
        assert.isTrue(Number.isFinite((yield* refusal()).retryAfterMs))
        yield* TestClock.adjust("365 days")
        assert.strictEqual(yield* stateOf(), "open")
      })
    )

    effect(
      "can be reset by hand, and forgets what was",
      Effect.gen(function* () {
        const breaker = yield* CircuitBreaker
        yield* times(10, bad)
        yield* breaker.reset(key)
        assert.strictEqual(yield* stateOf(), "closed")
        yield* times(9, bad)
        yield* breaker.reset(key)
        yield* bad
        assert.strictEqual(yield* stateOf(), "closed")
        yield* times(9, bad)
        // Nor does it remember how long it was open before.
        assert.isAtMost(yield* openFor, longestOpenMs + 50)
      })
    )

    effect(
      "held closed by hand it lets everything through until that expires, and then judges what it has seen",
      Effect.gen(function* () {
        const breaker = yield* CircuitBreaker
        yield* toHalfOpen
        yield* breaker.reset(key, 30_000)
        yield* paced(29, 1_000, times(5, bad))
        assert.strictEqual(yield* stateOf(), "closed")
        yield* TestClock.adjust(1_000)
        yield* bad
        assert.strictEqual(yield* stateOf(), "open")
        // Tripping is stronger than holding closed.
        yield* breaker.reset(key, 30_000)
        yield* breaker.trip(key, 1_000)
        assert.strictEqual(yield* stateOf(), "open")
        yield* TestClock.adjust(1_000)
        yield* bad
        assert.strictEqual(yield* stateOf(), "open")
      })
    )

    effect(
      "tells every transition, in order, each with its generation",
      Effect.gen(function* () {
        const breaker = yield* CircuitBreaker
        const seen = yield* transitions
        yield* toHalfOpen
        yield* bad
        yield* openFor
        yield* times(3, ok)
        yield* breaker.trip(key, 1_000)
        yield* breaker.reset(key, 60_000)
        yield* delivered
        assert.deepStrictEqual(
          seen.map(({ from, reason, to }) => `${from} > ${to}: ${reason}`),
          [
            "closed > open: failure-rate",
            "open > half-open: open-time-over",
            "half-open > open: probe-failed",
            "open > half-open: open-time-over",
            "half-open > closed: probes-succeeded",
            "closed > open: manual",
            "open > closed: manual"
          ]
        )
        assert.deepStrictEqual(
          seen.map(({ generation }) => generation),
          [1, 2, 3, 4, 5, 6, 7]
        )
        assert.isTrue(seen.every((transition) => transition.key === key))
        assert.strictEqual(seen.at(-1)?.atMs, yield* Clock.currentTimeMillis)
      })
    )

    effect(
      "an interruption in the middle of many calls leaves the books right",
      Effect.gen(function* () {
        const fibers = yield* Effect.forEach(Array.from({ length: 50 }), () => Effect.forkChild(lasting(900, true)))
        yield* TestClock.adjust(100)
        yield* Fiber.interruptAll(fibers)
        yield* TestClock.adjust("1 minute")
        // None of them is late by now: they are gone.
        yield* times(9, bad)
        assert.strictEqual(yield* stateOf(), "closed")
      })
    )
  })
}
