import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import type { PacingPolicy } from "../../../../src/domain/policy.ts"
import * as PacerMemory from "../../../../src/layers/pacer/memory.ts"
import * as Wheel from "../../../../src/layers/timers/wheel.ts"
import type { PacerPermit } from "../../../../src/services/pacer.ts"
import * as Deadline from "../../../../src/services/deadline.ts"
import { ask, policyOf, suite } from "../../../conformance/pacer.ts"

const make = (policy: Partial<PacingPolicy>, more: Partial<PacerMemory.PacerOptions> = {}) =>
  Effect.map(Layer.build(Layer.fresh(Wheel.layer)), (context) => context).pipe(
    Effect.flatMap((context) => Effect.provide(PacerMemory.make({ policy: policyOf(policy), ...more }), context))
  )

suite("memory", (policy) => make(policy))

describe("a pacer in memory", () => {
  it.effect("gives each process its part of the limit", () =>
    Effect.gen(function* () {
      const pacer = yield* make({ requestsPerMinute: 60, burstMs: 10_000 }, { processes: 5 })
      for (let call = 0; call < 2; call++) yield* pacer.acquire(ask())
      assert.isUndefined(pacer.tryAcquireUnsafe(ask()))
      yield* TestClock.adjust("5 seconds")
      assert.isDefined(pacer.tryAcquireUnsafe(ask()))
    })
  )

  it.effect("a provider's own limit, for each of its models where it says so", () =>
    Effect.gen(function* () {
      const limit = policyOf({ requestsPerMinute: 1, burstMs: 1_000 })
      const pacer = yield* make({}, { providers: { shared: limit, apart: { ...limit, perModel: true } } })
      const of = (provider: string, model: string) =>
        pacer.tryAcquireUnsafe(ask({ provider, key: `${provider}/${model}` })) !== undefined
      assert.deepStrictEqual([of("shared", "a"), of("shared", "b")], [true, false])
      assert.deepStrictEqual([of("apart", "a"), of("apart", "b"), of("apart", "a")], [true, true, false])
      assert.deepStrictEqual([of("none", "a"), of("none", "a")], [true, true])
    })
  )

  it.effect("a refusal that it did not expect makes it believe in a smaller bucket, for a while", () =>
    Effect.gen(function* () {
      const pacer = yield* make({ requestsPerMinute: 60, burstMs: 20_000 })
      const permits: Array<PacerPermit> = []
      for (let call = 0; call < 4; call++) permits.push(yield* pacer.acquire(ask()))
      // All in flight met the same moment: that is one piece of news.
      yield* TestClock.adjust(10)
      for (const permit of permits) permit.limited(undefined)
      assert.closeTo((yield* pacer.state("openai", "openai/gpt")).requests ?? Number.NaN, 1, 0.1)
      yield* TestClock.adjust("5 minutes")
      assert.closeTo((yield* pacer.state("openai", "openai/gpt")).requests ?? Number.NaN, 15, 1)
      yield* TestClock.adjust("1 hour")
      assert.closeTo((yield* pacer.state("openai", "openai/gpt")).requests ?? Number.NaN, 20, 0.1)
    })
  )

  it.effect("believes the provider that less is left: others use the same key", () =>
    Effect.gen(function* () {
      const pacer = yield* make({ requestsPerMinute: 60 })
      const [one, two] = [yield* pacer.acquire(ask()), yield* pacer.acquire(ask())]
      yield* TestClock.adjust(10)
      one.answered(10, { remainingRequests: 20, remainingTokens: undefined })
      two.answered(10, { remainingRequests: 19, remainingTokens: undefined })
      assert.closeTo((yield* pacer.state("openai", "openai/gpt")).requests ?? Number.NaN, 19, 0.1)
    })
  )

  it.effect("a learned limit begins where the provider says it stands, and is a limit a day where it says so", () =>
    Effect.gen(function* () {
      const pacer = yield* make({ burstMs: 60_000 })
      const first = yield* pacer.acquire(ask())
      const daily = { limitRequests: 200, remainingRequests: 50, resetRequestsMs: 64_800_000 }
      first.answered(10, { ...daily, remainingTokens: undefined })
      const state = pacer.state("openai", "openai/gpt")
      // 200 a day: less than one can be saved up in a minute.
      assert.isAtMost((yield* state).requests ?? Number.NaN, 1)
      yield* pacer.acquire(ask())
      yield* TestClock.adjust("7 minutes")
      assert.isUndefined(pacer.tryAcquireUnsafe(ask()))
      yield* TestClock.adjust("1 minute")
      assert.isDefined(pacer.tryAcquireUnsafe(ask()))
    })
  )

  it.effect("a call that usually takes long is not begun too late for its deadline", () =>
    Effect.gen(function* () {
      const pacer = yield* make({ requestsPerMinute: 60, burstMs: 1_000 })
      for (let call = 0; call < 5; call++) {
        const permit = yield* pacer.acquire(ask())
        permit.answered(3_000, undefined)
        yield* TestClock.adjust("1 second")
      }
      yield* pacer.acquire(ask())
      const request = ask({ deadline: Deadline.within(5_000, 3_500) })
      const error = yield* Effect.flip(Effect.scoped(pacer.acquire(request)))
      assert.strictEqual(error._tag, "PacerError")
      // With room at once it is the caller's own affair.
      yield* TestClock.adjust("1 second")
      yield* pacer.acquire(ask({ deadline: Deadline.within(6_000, 2_000) }))
    })
  )

  it.effect("a clock that is set back neither stops nor opens the limit", () =>
    Effect.gen(function* () {
      yield* TestClock.adjust("1 hour")
      const pacer = yield* make({ requestsPerMinute: 60, burstMs: 1_000 })
      yield* pacer.acquire(ask())
      yield* TestClock.setTime(0)
      assert.isUndefined(pacer.tryAcquireUnsafe(ask()))
      yield* TestClock.adjust("1 second")
      assert.isDefined(pacer.tryAcquireUnsafe(ask()))
    })
  )

  it.effect("no more wait than the queue holds, and none that is interrupted is left in it", () =>
    Effect.gen(function* () {
      const pacer = yield* make({ requestsPerMinute: 1, burstMs: 1, maxQueue: 2 })
      yield* pacer.acquire(ask())
      const waiting = [1, 2].map(() =>
        Effect.forkChild(Effect.scoped(pacer.acquire(ask())), { startImmediately: true })
      )
      const fibers = yield* Effect.all(waiting)
      const error = yield* Effect.flip(Effect.scoped(pacer.acquire(ask())))
      assert.strictEqual(error._tag, "PacerError")
      yield* Fiber.interruptAll(fibers)
      assert.strictEqual((yield* pacer.state("openai", "openai/gpt")).waiting, 0)
      yield* TestClock.adjust("1 minute")
      assert.isDefined(pacer.tryAcquireUnsafe(ask()))
    })
  )
})
