/** CircuitBreaker: what is usual, and what is slow beside it. */
import { assert, describe } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { CircuitBreaker } from "../../src/services/circuit-breaker.ts"
import {
  acquire,
  bad,
  closed,
  delivered,
  first,
  key,
  paced,
  stateOf,
  tester,
  times,
  transitions,
  tries,
  whole
} from "./circuit-breaker-kit.ts"
import type { MakeLayer } from "./circuit-breaker-kit.ts"

export const suite = (name: string, layer: MakeLayer): void => {
  const effect = tester(layer)

  describe(`CircuitBreaker: ${name}: what is usual`, () => {
    effect(
      "slow is what takes several times what is usual, once that is known",
      Effect.gen(function* () {
        // 300 ms is not slow as long as nobody knows better.
        yield* times(20, first(300))
        yield* closed()
        const breaker = yield* CircuitBreaker
        yield* breaker.reset(key)
        yield* paced(100, 100, first(50))
        yield* tries(10, 100, first(300))
        assert.strictEqual(yield* stateOf(), "open")
      })
    )

    effect(
      "what is fast is never slow",
      Effect.gen(function* () {
        yield* paced(100, 100, first(2))
        yield* paced(100, 100, first(45))
        yield* closed()
      })
    )

    effect(
      "the fixed limits hold whatever is usual",
      Effect.gen(function* () {
        yield* times(9, first(900))
        yield* paced(50, 1_000, first(900))
        yield* closed()
        yield* tries(10, 100, first(1_100))
        assert.strictEqual(yield* stateOf(), "open")
      })
    )

    effect(
      "whole answers are compared with whole answers alone",
      Effect.gen(function* () {
        yield* paced(50, 100, first(50))
        // Two hundred times a first token, and no word of how long they may be.
        yield* paced(50, 100, whole(10_000))
        yield* closed()
        yield* paced(50, 100, first(50))
        yield* closed()
        yield* tries(10, 100, whole(45_000))
        assert.strictEqual(yield* stateOf(), "open")
      })
    )

    effect(
      "a provider that becomes six times slower for good is accepted after a while",
      Effect.gen(function* () {
        yield* paced(100, 200, first(150))
        const seen = yield* transitions
        // Ten minutes of two calls a second, as far as they are let in.
        for (let i = 0; i < 1_200; i++) {
          yield* TestClock.adjust(500)
          yield* Effect.ignore(first(900))
        }
        yield* delivered
        assert.strictEqual(seen[0]?.reason, "slow-first-token")
        assert.strictEqual(seen.at(-1)?.to, "closed")
        // Opened more than once: it was not accepted lightly.
        assert.isAbove(seen.filter(({ to }) => to === "open").length, 3)
        const before = seen.length
        for (let i = 0; i < 100; i++) {
          yield* TestClock.adjust(500)
          yield* first(900)
        }
        yield* delivered
        assert.strictEqual(seen.length, before)
      })
    )

    effect(
      "one that becomes ten times slower is accepted too, though its probes are late before they answer",
      Effect.gen(function* () {
        yield* paced(100, 200, first(150))
        const seen = yield* transitions
        const answer = Effect.scoped(
          Effect.gen(function* () {
            const lease = yield* acquire()
            lease.begin()
            yield* Effect.sleep(1_500)
            lease.succeed(1_500)
          })
        )
        let acceptedMs = 0
        for (let ms = 0; ms < 3_600_000; ms += 500) {
          yield* Effect.forkScoped(Effect.ignore(answer))
          yield* TestClock.adjust(500)
          if ((yield* stateOf()) !== "closed") acceptedMs = ms
        }
        assert.isAbove(seen.length, 10)
        assert.isAbove(acceptedMs, 5 * 60_000)
        assert.isBelow(acceptedMs, 45 * 60_000)
      }),
      { slowMs: 10_000, slowRate: 0.5 }
    )

    effect(
      "what was learned survives an opening, and goes with a reset by hand",
      Effect.gen(function* () {
        yield* paced(50, 100, first(50))
        yield* times(50, bad)
        assert.strictEqual(yield* stateOf(), "open")
        yield* TestClock.adjust(6_000)
        yield* times(3, first(400))
        assert.strictEqual(yield* stateOf(), "open")
        const breaker = yield* CircuitBreaker
        yield* breaker.reset(key)
        yield* paced(20, 100, first(400))
        yield* closed()
      })
    )
  })
}
