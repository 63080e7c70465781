/**
 * CircuitBreaker: faults that were found in other breakers (cockatiel 3.2.1 and
 * 4.0.0, opossum 9.0.0), each as a test that this one does not have it, and the
 * cases of resilience4j's state machine that the other suites do not have.
 */
import { assert, describe } from "@effect/vitest"
import { Effect, Exit, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { CircuitBreaker } from "../../src/services/circuit-breaker.ts"
import {
  acquire,
  bad,
  call,
  delivered,
  hold,
  is,
  key,
  ok,
  openFor,
  paced,
  refusal,
  run,
  slow,
  tester,
  times,
  toHalfOpen,
  transitions
} from "./circuit-breaker-kit.ts"
import type { MakeLayer } from "./circuit-breaker-kit.ts"

export const suite = (name: string, layer: MakeLayer): void => {
  const effect = tester(layer)

  describe(`CircuitBreaker: ${name}: published faults of cockatiel`, () => {
    effect(
      "a window that turns with calls alone: an hour of silence leaves nothing to open on",
      Effect.gen(function* () {
        yield* times(9, bad)
        yield* TestClock.adjust("1 hour")
        yield* bad
        yield* is("closed")
        // Not even old good calls are left, to dilute what comes.
        yield* TestClock.adjust("1 hour")
        yield* times(100, ok)
        yield* TestClock.adjust("1 hour")
        yield* times(10, bad)
        yield* is("open")
      })
    )

    effect(
      "a late failure of the generation before opens a half-open breaker",
      Effect.gen(function* () {
        const late = yield* run()
        yield* toHalfOpen
        const probe = yield* run()
        late.lease.fail()
        yield* is("half-open")
        probe.lease.succeed(10)
        yield* times(2, ok)
        yield* is("closed")
      })
    )

    effect(
      "callers of a half-open breaker wait for its probe, a thousand of them, and are let go at once",
      Effect.gen(function* () {
        yield* toHalfOpen
        const probes = [yield* run(), yield* run(), yield* run()]
        const exits = yield* Effect.forEach(Array.from({ length: 999 }), () => Effect.exit(Effect.scoped(acquire())))
        assert.isTrue(exits.every(Exit.isFailure))
        for (const { lease } of probes) lease.succeed(10)
        yield* is("closed")
      })
    )
  })

  describe(`CircuitBreaker: ${name}: published faults of opossum`, () => {
    effect(
      "a late success of an old call closes it while the probe still runs",
      Effect.gen(function* () {
        const old = [yield* run(), yield* run(), yield* run()]
        yield* toHalfOpen
        const probe = yield* run()
        for (const { lease } of old) lease.succeed(10)
        yield* is("half-open")
        probe.lease.fail()
        yield* is("open")
      })
    )

    effect(
      "a probe that hangs leaves it open for ever",
      Effect.gen(function* () {
        yield* toHalfOpen
        yield* times(3, run())
        yield* TestClock.adjust("1 day")
        yield* is("open")
        yield* openFor
        yield* times(3, ok)
        yield* is("closed")
      })
    )

    effect(
      "the abort of one call ends others",
      Effect.gen(function* () {
        const others = yield* Effect.forEach(Array.from({ length: 5 }), () =>
          Effect.forkChild(Effect.scoped(Effect.andThen(acquire(), Effect.sleep(500))))
        )
        const one = yield* Effect.forkChild(Effect.scoped(Effect.andThen(acquire(), Effect.never)))
        yield* Effect.yieldNow
        yield* Fiber.interrupt(one)
        yield* Effect.scoped(acquire())
        yield* TestClock.adjust(500)
        for (const fiber of others) assert.isTrue(Exit.isSuccess(yield* Fiber.await(fiber)))
      })
    )

    effect(
      "what never reached the provider dilutes the rate, so that a hundred failures of a hundred open nothing",
      Effect.gen(function* () {
        for (let i = 0; i < 10; i++) {
          yield* times(10, Effect.scoped(acquire()))
          yield* bad
        }
        yield* is("open")
      })
    )

    effect(
      "a timeout gives the place back while the work goes on",
      Effect.gen(function* () {
        yield* toHalfOpen
        const probes = [yield* run(), yield* run(), yield* run()]
        for (const { lease } of probes) lease.cutShort(1_001)
        // Cut short though it is, a slow probe was one: nobody else gets its place.
        yield* is("open")
      })
    )
  })

  describe(`CircuitBreaker: ${name}: cases of resilience4j`, () => {
    effect(
      "ignored outcomes give their permission back: three probes can still be made",
      Effect.gen(function* () {
        yield* toHalfOpen
        yield* times(20, Effect.scoped(Effect.map(acquire(), (lease) => lease.cutShort(1))))
        yield* times(3, ok)
        yield* is("closed")
      })
    )

    effect(
      "slow failures are failures, slow answers are slow, and neither needs the other",
      Effect.gen(function* () {
        const seen = yield* transitions
        yield* times(
          10,
          call((lease) => lease.fail())
        )
        const breaker = yield* CircuitBreaker
        yield* breaker.reset(key)
        yield* times(10, slow)
        yield* delivered
        assert.deepStrictEqual(
          seen.map(({ reason }) => reason),
          ["failure-rate", "manual", "slow-first-token"]
        )
      })
    )

    effect(
      "exactly the threshold opens, one call below does not",
      Effect.gen(function* () {
        yield* times(51, ok)
        yield* times(50, bad)
        yield* is("closed")
        yield* bad
        yield* is("open")
      })
    )

    effect(
      "a reset during probing drops the probes' verdicts",
      Effect.gen(function* () {
        const breaker = yield* CircuitBreaker
        yield* toHalfOpen
        const probes = [yield* run(), yield* run()]
        yield* breaker.reset(key)
        for (const { lease } of probes) lease.fail()
        yield* times(9, bad)
        yield* is("closed")
      })
    )

    effect(
      "tripped during probing it stays open, whatever the probes say",
      Effect.gen(function* () {
        const breaker = yield* CircuitBreaker
        yield* toHalfOpen
        const probe = yield* hold()
        yield* breaker.trip(key, 30_000)
        probe.lease.succeed(10)
        yield* TestClock.adjust(29_999)
        assert.strictEqual((yield* refusal())._tag, "Open")
      })
    )

    effect(
      "buckets of the window go one by one, not all together",
      Effect.gen(function* () {
        // Nine good ones a second for ten seconds; then the good ones leave as bad ones come.
        yield* paced(10, 1_000, times(9, ok))
        for (let second = 1; second <= 4; second++) {
          yield* TestClock.adjust(1_000)
          yield* times(5, bad)
          yield* times(4, ok)
          yield* is("closed")
        }
      })
    )
  })
}
