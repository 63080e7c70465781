/** CircuitBreaker: slow first tokens, slow whole answers, slow token gaps, and what is usual. */
import { assert, describe } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { CircuitBreaker } from "../../src/services/circuit-breaker.ts"
import type { BreakerLease } from "../../src/services/circuit-breaker.ts"
import {
  closed,
  first,
  tries,
  call,
  delivered,
  hold,
  key,
  ok,
  paced,
  run,
  stateOf,
  tester,
  times,
  transitions
} from "./circuit-breaker-kit.ts"
import type { MakeLayer } from "./circuit-breaker-kit.ts"

/** A stream of so many runs of tokens. */
const stream = (runs: number, gapMs: number) =>
  call((lease) => {
    lease.succeed(100)
    for (let i = 0; i < runs; i++) lease.gap(gapMs)
  })

/** A time drawn once for each seed: log-normal, of a fixed sequence, so that a test is the same every time. */
const draws = (median: number, sigma: number) => {
  let state = 12_345
  const uniform = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return (state + 0.5) / 2 ** 32
  }
  return () => median * Math.exp(sigma * Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()))
}

export const suite = (name: string, layer: MakeLayer): void => {
  const effect = tester(layer)

  describe(`CircuitBreaker: ${name}: slowness`, () => {
    effect(
      "a brownout (ten times the first-token time, spread widely, no errors) is seen within 20 calls or 5 s",
      Effect.gen(function* () {
        const draw = draws(300, 0.4)
        const everyMs = 50
        const answer = (ms: number) =>
          Effect.scoped(
            Effect.gen(function* () {
              const { close, lease } = yield* run()
              yield* Effect.andThen(
                Effect.sleep(ms),
                Effect.andThen(
                  Effect.sync(() => lease.succeed(ms)),
                  close
                )
              )
            })
          )
        for (let i = 0; i < 600; i++) {
          yield* Effect.forkScoped(Effect.suspend(() => answer(draw())))
          yield* TestClock.adjust(everyMs)
        }
        yield* closed()
        let passed = 0
        while ((yield* stateOf()) === "closed") {
          yield* Effect.forkScoped(Effect.suspend(() => answer(10 * draw())))
          yield* TestClock.adjust(everyMs)
          passed += everyMs
          assert.isAtMost(passed, 5_000)
        }
        const seen = passed
        assert.isAbove(seen, 1_000)
      }),
      { slowRate: 0.5, slowMs: 4_000 }
    )

    effect(
      "a running call counts as slow as soon as it is late, without an answer",
      Effect.gen(function* () {
        for (let i = 0; i < 10; i++) {
          yield* run()
          yield* TestClock.adjust(50)
        }
        yield* TestClock.adjust(900)
        yield* closed()
        // The tenth began 50 + 900 ms ago; asking is enough to find out.
        yield* TestClock.adjust(51)
        assert.strictEqual(yield* stateOf(), "open")
      })
    )

    effect(
      "calls that became late one after the other, while nobody asked, are seen when somebody does",
      Effect.gen(function* () {
        yield* paced(150, 50, first(300))
        for (let i = 0; i < 10; i++) {
          yield* run()
          yield* TestClock.adjust(50)
        }
        yield* closed()
        yield* TestClock.adjust(1_000)
        assert.strictEqual(yield* stateOf(), "open")
      })
    )

    effect(
      "the queue before a call does not make it slow",
      Effect.gen(function* () {
        const queued = yield* Effect.forEach(Array.from({ length: 20 }), () => hold())
        yield* TestClock.adjust("1 minute")
        yield* closed()
        for (const { lease } of queued) assert.isTrue(lease.begin())
        yield* TestClock.adjust(999)
        yield* closed()
        for (const { lease } of queued) lease.succeed(999)
        yield* closed()
      })
    )

    effect(
      "a late call is one call: its answer adds nothing, its failure turns it into a failed one",
      Effect.gen(function* () {
        const late = yield* Effect.forEach(Array.from({ length: 6 }), () => run())
        yield* TestClock.adjust(1_001)
        yield* closed()
        for (const { lease } of late) lease.succeed(1_001)
        // 6 slow of 9: counted twice they would be 12 of 15, which is the rate.
        yield* times(3, ok)
        yield* closed()

        const breaker = yield* CircuitBreaker
        yield* breaker.reset(key)
        const failing = yield* Effect.forEach(Array.from({ length: 5 }), () => run())
        yield* TestClock.adjust(1_001)
        yield* times(4, ok)
        for (const { lease } of failing) lease.fail()
        yield* closed()
        yield* ok
        assert.strictEqual(yield* stateOf(), "open")
      })
    )

    effect(
      "a late call stays counted when its caller leaves; one that was not late never was",
      Effect.gen(function* () {
        const early = yield* Effect.forEach(Array.from({ length: 20 }), () => run())
        yield* TestClock.adjust(500)
        for (const { close } of early) yield* close
        yield* TestClock.adjust(5_000)
        yield* closed()
        const late = yield* Effect.forEach(Array.from({ length: 9 }), () => run())
        yield* TestClock.adjust(1_001)
        yield* closed()
        for (const { close } of late) yield* close
        yield* closed()
        yield* call((lease) => lease.succeed(1_001))
        assert.strictEqual(yield* stateOf(), "open")
      })
    )

    effect(
      "token gaps have a rate of their own",
      Effect.gen(function* () {
        const seen = yield* transitions
        yield* paced(10, 100, stream(9, 20))
        yield* closed()
        // Slow first tokens and slow gaps do not add up.
        yield* paced(4, 100, first(2_000))
        yield* closed()
        yield* tries(3, 100, stream(10, 200))
        assert.strictEqual(yield* stateOf(), "open")
        yield* delivered
        assert.strictEqual(seen.at(-1)?.reason, "slow-gap")
      })
    )

    effect(
      "gaps below the minimum, of failed calls, or of a stream that has not begun do not count",
      Effect.gen(function* () {
        yield* stream(9, 5_000)
        yield* closed()
        yield* TestClock.adjust("1 minute")
        const late = (lease: BreakerLease) => {
          for (let i = 0; i < 10; i++) lease.gap(5_000)
        }
        yield* call(late)
        yield* call((lease) => {
          lease.fail()
          late(lease)
        })
        yield* closed()
      })
    )
  })
}
