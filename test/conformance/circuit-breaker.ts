/** What every layer of the CircuitBreaker port must do. Runs in virtual time. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Scheduler, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as Caller from "../../src/domain/caller.ts"
import type { BreakerPolicy } from "../../src/domain/policy.ts"
import { CircuitBreaker } from "../../src/services/circuit-breaker.ts"
import type { BreakerLease, BreakerTransition } from "../../src/services/circuit-breaker.ts"
import * as RequestRecord from "../../src/services/request-record.ts"
import { enter } from "../support/raw-entry.ts"

const policy: BreakerPolicy = {
  windowMs: 10_000,
  minimumCalls: 10,
  failureRate: 0.5,
  slowRate: 0.8,
  slowMs: 1_000,
  openMs: 5_000,
  maxOpenMs: 20_000,
  probes: 3
}
/** The longest that an open time of `openMs` can be with its jitter. */
const longestOpenMs = 6_000
const key = "openai/gpt"

const acquire = Effect.flatMap(CircuitBreaker, (breaker) => breaker.acquire(key))
const stateOf = Effect.flatMap(CircuitBreaker, (breaker) => breaker.state(key))

/** One call with its verdict. */
const call = (verdict: (lease: BreakerLease) => void) => Effect.scoped(Effect.map(acquire, verdict))
const ok = call((lease) => lease.succeed(10))
const slow = call((lease) => lease.succeed(1_001))
const bad = call((lease) => lease.fail())
const times = <A, E, R>(count: number, effect: Effect.Effect<A, E, R>) =>
  Effect.forEach(Array.from({ length: count }), () => effect, { discard: true })

/** A lease that stays open until its `close`. */
const hold = Effect.gen(function* () {
  const scope = yield* Scope.make()
  const lease = yield* Scope.provide(acquire, scope)
  return { lease, close: Scope.close(scope, Exit.void) }
})

const refusal = Effect.map(Effect.flip(Effect.scoped(acquire)), ({ reason }) => reason)

/** Open it, and wait until it may be probed. */
const toHalfOpen = Effect.gen(function* () {
  yield* times(10, bad)
  assert.strictEqual(yield* stateOf, "open")
  yield* TestClock.adjust(longestOpenMs)
  assert.strictEqual(yield* stateOf, "half-open")
})

/** How long it stays open from now, to 50 ms. */
const openFor = Effect.gen(function* () {
  let ms = 0
  while ((yield* stateOf) === "open") {
    yield* TestClock.adjust(50)
    ms += 50
  }
  return ms
})

export const suite = (name: string, layer: (policy: BreakerPolicy) => Layer.Layer<CircuitBreaker>): void => {
  const effect = <A, E>(title: string, test: Effect.Effect<A, E, CircuitBreaker | Scope.Scope>) =>
    it.effect(title, () => Effect.provide(test, layer(policy)))

  describe(`CircuitBreaker: ${name}`, () => {
    effect(
      "opens at the failure rate, not before the minimum of calls",
      Effect.gen(function* () {
        yield* times(9, bad)
        assert.strictEqual(yield* stateOf, "closed")
        yield* bad
        assert.strictEqual(yield* stateOf, "open")
      })
    )

    effect(
      "stays closed below the rate, and a success may complete the minimum",
      Effect.gen(function* () {
        yield* times(4, bad)
        yield* times(6, ok)
        assert.strictEqual(yield* stateOf, "closed")
        yield* TestClock.adjust("1 minute")
        yield* times(5, bad)
        yield* times(4, ok)
        assert.strictEqual(yield* stateOf, "closed")
        yield* ok
        assert.strictEqual(yield* stateOf, "open")
      })
    )

    effect(
      "opens at the slow rate",
      Effect.gen(function* () {
        yield* times(2, ok)
        yield* times(7, slow)
        assert.strictEqual(yield* stateOf, "closed")
        yield* slow
        assert.strictEqual(yield* stateOf, "open")
      })
    )

    effect(
      "outcomes age with the clock: an hour of silence leaves nothing to open on",
      Effect.gen(function* () {
        yield* times(9, bad)
        yield* TestClock.adjust("1 hour")
        yield* bad
        assert.strictEqual(yield* stateOf, "closed")
      })
    )

    effect(
      "an open breaker refuses with the time until it probes, then admits probes",
      Effect.gen(function* () {
        yield* times(10, bad)
        const reason = yield* refusal
        assert.strictEqual(reason._tag, "Open")
        assert.strictEqual(reason.key, key)
        assert.isAtLeast(reason.retryAfterMs, 4_000)
        assert.isAtMost(reason.retryAfterMs, longestOpenMs)
        yield* TestClock.adjust(Math.floor(reason.retryAfterMs) - 1)
        assert.strictEqual((yield* refusal)._tag, "Open")
        yield* TestClock.adjust(2)
        yield* Effect.scoped(acquire)
      })
    )

    effect(
      "lets `probes` calls through at a time and refuses the others at once",
      Effect.gen(function* () {
        yield* toHalfOpen
        const probes = [yield* hold, yield* hold, yield* hold]
        const reason = yield* refusal
        assert.strictEqual(reason._tag, "Probing")
        assert.isAbove(reason.retryAfterMs, 0)
        for (const { lease } of probes) {
          assert.strictEqual(yield* stateOf, "half-open")
          lease.succeed(10)
        }
        assert.strictEqual(yield* stateOf, "closed")
        // The window starts afresh: the old failures are forgotten.
        yield* bad
        assert.strictEqual(yield* stateOf, "closed")
      })
    )

    effect(
      "a probe that ends without a verdict gives its place to another",
      Effect.gen(function* () {
        yield* toHalfOpen
        for (let i = 0; i < 10; i++) yield* Effect.scoped(acquire)
        const probes = [yield* hold, yield* hold, yield* hold]
        assert.strictEqual((yield* refusal)._tag, "Probing")
        probes[0]?.lease.cutShort(10)
        probes[1]?.lease.succeed(10)
        yield* probes[0]!.close
        yield* probes[1]!.close
        yield* hold
        // One answered, two on their way: three in all.
        assert.strictEqual((yield* refusal)._tag, "Probing")
      })
    )

    effect(
      "one failed probe opens it again, for longer each time, up to the maximum",
      Effect.gen(function* () {
        yield* toHalfOpen
        for (const expected of [10_000, 20_000, 20_000]) {
          yield* bad
          assert.strictEqual(yield* stateOf, "open")
          const ms = yield* openFor
          assert.isAtLeast(ms, expected * 0.8)
          assert.isAtMost(ms, expected * 1.2 + 50)
        }
        yield* times(3, ok)
        assert.strictEqual(yield* stateOf, "closed")
        // A success ends the series: short again.
        yield* times(10, bad)
        assert.isAtMost(yield* openFor, longestOpenMs + 50)
      })
    )

    effect(
      "slow probes do not close it",
      Effect.gen(function* () {
        yield* toHalfOpen
        yield* times(3, slow)
        assert.strictEqual(yield* stateOf, "open")
        yield* openFor
        yield* times(2, ok)
        yield* slow
        assert.strictEqual(yield* stateOf, "closed")
      })
    )

    effect(
      "Retry-After makes the open time longer, within twice the maximum",
      Effect.gen(function* () {
        yield* times(9, bad)
        yield* call((lease) => lease.fail(15_000))
        assert.isAtLeast(yield* openFor, 15_000)
        yield* call((lease) => lease.fail(3_600_000))
        const ms = yield* openFor
        assert.isAtLeast(ms, 40_000)
        assert.isAtMost(ms, 40_100)
      })
    )

    effect(
      "late verdicts of an older generation change nothing",
      Effect.gen(function* () {
        const old = [yield* hold, yield* hold, yield* hold, yield* hold]
        yield* toHalfOpen
        for (const { lease } of old) lease.succeed(10)
        assert.strictEqual(yield* stateOf, "half-open")
        const stale = yield* hold
        yield* bad
        assert.strictEqual(yield* stateOf, "open")
        stale.lease.succeed(10)
        yield* openFor
        old[0]?.lease.fail()
        stale.lease.fail()
        yield* stale.close
        assert.strictEqual(yield* stateOf, "half-open")
        // Nor may they have freed or taken a place.
        yield* times(3, hold)
        assert.strictEqual((yield* refusal)._tag, "Probing")
      })
    )

    effect(
      "the first verdict counts",
      Effect.gen(function* () {
        for (let i = 0; i < 9; i++) {
          yield* call((lease) => {
            lease.fail()
            lease.fail()
            lease.succeed(10)
            lease.cutShort(5_000)
          })
        }
        assert.strictEqual(yield* stateOf, "closed")
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
        assert.strictEqual(yield* stateOf, "closed")
        yield* brokenStream
        assert.strictEqual(yield* stateOf, "open")
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
        assert.strictEqual(yield* stateOf, "closed")
        yield* TestClock.adjust("1 minute")
        yield* times(
          10,
          call((lease) => lease.cutShort(1_100))
        )
        assert.strictEqual(yield* stateOf, "open")
      })
    )

    effect(
      "interrupted calls do not count",
      Effect.gen(function* () {
        for (let i = 0; i < 50; i++) {
          const fiber = yield* Effect.forkChild(Effect.scoped(Effect.andThen(acquire, Effect.never)))
          yield* Effect.yieldNow
          yield* Fiber.interrupt(fiber)
        }
        yield* times(9, bad)
        assert.strictEqual(yield* stateOf, "closed")
      })
    )

    effect(
      "no probe's place is lost wherever an interruption lands",
      Effect.gen(function* () {
        yield* toHalfOpen
        for (let ops = 3; ops <= 64; ops++) {
          for (let turns = 0; turns < 4; turns++) {
            const fiber = yield* Effect.scoped(Effect.andThen(acquire, Effect.never)).pipe(
              Effect.provideService(Scheduler.MaxOpsBeforeYield, ops),
              Effect.forkChild
            )
            for (let i = 0; i < turns; i++) yield* Effect.yieldNow
            yield* Fiber.interrupt(fiber)
          }
        }
        yield* times(3, ok)
        assert.strictEqual(yield* stateOf, "closed")
      })
    )

    effect(
      "can be tripped and reset by hand",
      Effect.gen(function* () {
        const breaker = yield* CircuitBreaker
        yield* breaker.trip(key, 60_000)
        const reason = yield* refusal
        assert.strictEqual(reason._tag, "Open")
        assert.approximately(reason.retryAfterMs, 60_000, 1)
        yield* TestClock.adjust("30 seconds")
        assert.strictEqual(yield* stateOf, "open")
        yield* breaker.reset(key)
        assert.strictEqual(yield* stateOf, "closed")
        yield* times(9, bad)
        yield* breaker.reset(key)
        yield* bad
        assert.strictEqual(yield* stateOf, "closed")
        yield* breaker.trip(key, Infinity)
        assert.isTrue(Number.isFinite((yield* refusal).retryAfterMs))
      })
    )

    effect(
      "keys are apart, and errors carry the request's id",
      Effect.gen(function* () {
        const breaker = yield* CircuitBreaker
        yield* times(10, bad)
        assert.strictEqual(yield* breaker.state("anthropic/claude"), "closed")
        const record = RequestRecord.make({ id: "req-7", operation: "chat", caller: Caller.anonymous, startedAt: 0 })
        const error = yield* Effect.flip(
          Effect.provideService(Effect.scoped(acquire), RequestRecord.CurrentRecord, record)
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
        assert.strictEqual(yield* stateOf, "closed")
        ;(yield* enter(breaker.acquireUnsafe(key))).fail()
        assert.strictEqual(yield* stateOf, "open")
        const refused = yield* Effect.flip(enter(breaker.acquireUnsafe(key), "req-8"))
        assert.deepStrictEqual(refused.reason, yield* refusal)
        assert.strictEqual(refused.requestId, "req-8")
      })
    )

    effect(
      "a probe that is released twice gives its place to one other alone",
      Effect.gen(function* () {
        const breaker = yield* CircuitBreaker
        yield* toHalfOpen
        const [first] = yield* Effect.forEach([1, 2, 3], () => enter(breaker.acquireUnsafe(key)))
        assert.strictEqual((yield* refusal)._tag, "Probing")
        first!.release()
        first!.release()
        yield* enter(breaker.acquireUnsafe(key))
        assert.strictEqual((yield* refusal)._tag, "Probing")
        // By hand and by its scope; nor does a verdict after the release count.
        first!.succeed(1)
        first!.fail()
        assert.strictEqual(yield* stateOf, "half-open")
        assert.strictEqual((yield* refusal)._tag, "Probing")
      })
    )

    effect(
      "tells every transition",
      Effect.gen(function* () {
        const breaker = yield* CircuitBreaker
        const seen: Array<BreakerTransition> = []
        yield* breaker.transitions.pipe(
          Stream.runForEach((transition) => Effect.sync(() => seen.push(transition))),
          Effect.forkScoped({ startImmediately: true })
        )
        yield* Effect.yieldNow
        yield* toHalfOpen
        yield* bad
        yield* openFor
        yield* times(3, ok)
        yield* breaker.trip(key, 1_000)
        for (let i = 0; i < 5; i++) yield* Effect.yieldNow
        assert.deepStrictEqual(
          seen.map(({ from, reason, to }) => `${from} > ${to}: ${reason}`),
          [
            "closed > open: failure-rate",
            "open > half-open: open-time-over",
            "half-open > open: probe-failed",
            "open > half-open: open-time-over",
            "half-open > closed: probes-succeeded",
            "closed > open: manual"
          ]
        )
        assert.isTrue(seen.every((transition) => transition.key === key))
      })
    )
  })
}
