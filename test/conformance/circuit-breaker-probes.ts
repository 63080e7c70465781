/** CircuitBreaker: half-open, its probes, and how long it stays open the next time. */
import { assert, describe } from "@effect/vitest"
import { Effect, Fiber, Scheduler } from "effect"
import { TestClock } from "effect/testing"
import { CircuitBreaker } from "../../src/services/circuit-breaker.ts"
import { enter } from "../support/raw-entry.ts"
import {
  acquire,
  bad,
  hold,
  is,
  lasts,
  key,
  ok,
  openFor,
  refusal,
  run,
  slow,
  tester,
  times,
  toHalfOpen
} from "./circuit-breaker-kit.ts"
import type { MakeLayer } from "./circuit-breaker-kit.ts"

export const suite = (name: string, layer: MakeLayer): void => {
  const effect = tester(layer)

  describe(`CircuitBreaker: ${name}: probes`, () => {
    effect(
      "lets `probes` calls through at a time and refuses the others at once",
      Effect.gen(function* () {
        yield* toHalfOpen
        const probes = [yield* hold(), yield* hold(), yield* hold()]
        const reason = yield* refusal()
        assert.strictEqual(reason._tag, "Probing")
        assert.isAbove(reason.retryAfterMs, 0)
        for (const { lease } of probes) {
          yield* is("half-open")
          lease.succeed(10)
        }
        yield* is("closed")
        // The window starts afresh: the old failures are forgotten.
        yield* times(9, bad)
        yield* is("closed")
      })
    )

    effect(
      "a probe that ends without a verdict gives its place to another",
      Effect.gen(function* () {
        yield* toHalfOpen
        for (let i = 0; i < 10; i++) yield* Effect.scoped(Effect.map(acquire(), (lease) => lease.begin()))
        const probes = [yield* hold(), yield* hold(), yield* hold()]
        assert.strictEqual((yield* refusal())._tag, "Probing")
        probes[0]?.lease.cutShort(10)
        probes[1]?.lease.succeed(10)
        yield* probes[0]!.close
        yield* probes[1]!.close
        yield* hold()
        // One answered, two on their way: three in all.
        assert.strictEqual((yield* refusal())._tag, "Probing")
      })
    )

    effect(
      "slow probes do not close it",
      Effect.gen(function* () {
        yield* toHalfOpen
        yield* times(3, slow)
        yield* is("open")
        yield* openFor
        yield* times(2, ok)
        yield* slow
        yield* is("closed")
      })
    )

    effect(
      "it opens again as soon as too many probes were slow, without waiting for the last",
      Effect.gen(function* () {
        yield* toHalfOpen
        yield* times(2, slow)
        yield* is("open")
      }),
      { slowRate: 0.5 }
    )

    effect(
      "a probe that hangs counts as slow when somebody asks, and late is late",
      Effect.gen(function* () {
        yield* toHalfOpen
        const hung = yield* run()
        yield* times(2, ok)
        assert.strictEqual((yield* refusal())._tag, "Probing")
        yield* TestClock.adjust(1_001)
        // Two of three were quick.
        yield* is("closed")
        hung.lease.fail()
        yield* is("closed")
      })
    )

    effect(
      "probes that all hang open it again; their late answers change nothing",
      Effect.gen(function* () {
        yield* toHalfOpen
        const hung = [yield* run(), yield* run(), yield* run()]
        yield* TestClock.adjust(1_000)
        yield* is("half-open")
        yield* TestClock.adjust(1)
        assert.strictEqual((yield* refusal())._tag, "Open")
        for (const { lease } of hung) lease.succeed(1_500)
        yield* is("open")
        lasts(yield* openFor, 10_000)
      })
    )

    effect(
      "a late probe that fails has failed",
      Effect.gen(function* () {
        yield* toHalfOpen
        const late = yield* run()
        yield* run()
        yield* TestClock.adjust(1_001)
        yield* is("half-open")
        late.lease.fail()
        yield* is("open")
      })
    )

    effect(
      "an answered probe whose stream breaks while others are on their way has failed",
      Effect.gen(function* () {
        yield* toHalfOpen
        const probe = yield* run()
        probe.lease.succeed(10)
        yield* ok
        probe.lease.fail()
        yield* is("open")
      })
    )

    effect(
      "probes of which nothing is ever heard do not hold it for ever",
      Effect.gen(function* () {
        yield* toHalfOpen
        yield* times(3, hold())
        yield* TestClock.adjust(20_000)
        assert.strictEqual((yield* refusal())._tag, "Probing")
        yield* TestClock.adjust(1)
        yield* is("open")
        yield* openFor
        yield* times(3, ok)
        yield* is("closed")
      })
    )

    effect(
      "whole answers that hang do not hold it for ever either",
      Effect.gen(function* () {
        yield* toHalfOpen
        yield* times(3, run(key, false))
        yield* TestClock.adjust(20_001)
        yield* is("open")
      })
    )

    effect(
      "late verdicts of an older generation change nothing",
      Effect.gen(function* () {
        const old = [yield* hold(), yield* hold(), yield* hold(), yield* hold()]
        yield* toHalfOpen
        for (const { lease } of old) lease.succeed(10)
        yield* is("half-open")
        const stale = yield* hold()
        yield* bad
        yield* is("open")
        stale.lease.succeed(10)
        yield* openFor
        old[0]?.lease.fail()
        stale.lease.fail()
        yield* stale.close
        yield* is("half-open")
        // Nor may they have freed or taken a place.
        yield* times(3, hold())
        assert.strictEqual((yield* refusal())._tag, "Probing")
      })
    )

    effect(
      "a probe that is released twice gives its place to one other alone",
      Effect.gen(function* () {
        const breaker = yield* CircuitBreaker
        yield* toHalfOpen
        const [first] = yield* Effect.forEach([1, 2, 3], () => enter(breaker.acquireUnsafe(key)))
        assert.strictEqual((yield* refusal())._tag, "Probing")
        first!.release()
        first!.release()
        yield* enter(breaker.acquireUnsafe(key))
        assert.strictEqual((yield* refusal())._tag, "Probing")
        // By hand and by its scope; nor does a verdict after the release count.
        first!.succeed(1)
        first!.fail()
        yield* is("half-open")
        assert.strictEqual((yield* refusal())._tag, "Probing")
      })
    )

    for (const begins of [false, true]) {
      effect(
        `no probe's place is lost wherever an interruption lands, ${begins ? "after" : "before"} the call has left`,
        Effect.gen(function* () {
          yield* toHalfOpen
          let got = 0
          for (let ops = 3; ops <= 64; ops++) {
            for (let turns = 0; turns < 5; turns++) {
              const probe = Effect.flatMap(acquire(), (lease) => {
                got++
                if (begins) lease.begin()
                return Effect.never
              })
              const fiber = yield* Effect.scoped(probe).pipe(
                Effect.provideService(Scheduler.MaxOpsBeforeYield, ops),
                Effect.forkChild
              )
              for (let i = 0; i < turns; i++) yield* Effect.yieldNow
              yield* Fiber.interrupt(fiber)
            }
          }
          assert.isAbove(got, 100)
          yield* times(3, ok)
          yield* is("closed")
        })
      )
    }
  })
}
