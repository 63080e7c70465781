/** CircuitBreaker: how long it stays open. */
import { assert, describe } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { bad, call, is, lasts, ok, openFor, refusal, tester, times, toHalfOpen } from "./circuit-breaker-kit.ts"
import type { MakeLayer } from "./circuit-breaker-kit.ts"

export const suite = (name: string, layer: MakeLayer): void => {
  const effect = tester(layer)

  describe(`CircuitBreaker: ${name}: open time`, () => {
    effect(
      "one failed probe opens it again, for longer each time, up to the maximum",
      Effect.gen(function* () {
        yield* toHalfOpen
        for (const expected of [10_000, 20_000, 20_000]) {
          yield* bad
          yield* is("open")
          lasts(yield* openFor, expected)
        }
        yield* times(3, ok)
        yield* is("closed")
      })
    )

    effect(
      "a relapse goes on with longer times; staying closed takes them back one by one",
      Effect.gen(function* () {
        yield* toHalfOpen
        yield* times(3, ok)
        yield* TestClock.adjust(9_000)
        yield* times(10, bad)
        lasts(yield* openFor, 10_000)
        yield* times(3, ok)
        yield* times(10, bad)
        lasts(yield* openFor, 20_000)
        yield* times(3, ok)
        yield* TestClock.adjust(10_000)
        yield* times(10, bad)
        lasts(yield* openFor, 10_000)
        yield* times(3, ok)
        yield* TestClock.adjust(60_000)
        yield* times(10, bad)
        lasts(yield* openFor, 5_000)
      })
    )

    effect(
      "open times differ from key to key, so that a fleet does not probe in step",
      Effect.gen(function* () {
        const waits = new Set<number>()
        for (let i = 0; i < 20; i++) {
          const one = `provider-${i}/model`
          yield* times(
            10,
            call((lease) => lease.fail(), one)
          )
          waits.add((yield* refusal(one)).retryAfterMs)
          yield* TestClock.adjust("2 minutes")
        }
        assert.strictEqual(waits.size, 20)
        assert.isTrue([...waits].every((ms) => ms >= 4_000 && ms <= 6_000))
      })
    )
  })
}
