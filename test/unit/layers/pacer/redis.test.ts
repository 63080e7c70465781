import { assert, describe, it } from "@effect/vitest"
import { Clock, Context, Effect, Exit, Layer } from "effect"
import { Timers } from "../../../../src/services/timers.ts"
import * as PacerRedis from "../../../../src/layers/pacer/redis.ts"
import * as Wheel from "../../../../src/layers/timers/wheel.ts"
import type { PacingPolicy } from "../../../../src/domain/policy.ts"
import * as Deadline from "../../../../src/services/deadline.ts"
import { ask, policyOf, suite } from "../../../conformance/pacer.ts"
import { available, breakable, redis, startRedis } from "../../../support/redis.ts"
import { configOf, layerOf } from "../../../support/redis-client.ts"

/** The pacer of one process of a fleet. */
const process = Effect.fnUntraced(function* (url: string, prefix: string, policy: PacingPolicy, processes = 1) {
  const context = yield* Layer.build(Layer.fresh(Layer.merge(layerOf(configOf(url, prefix, 200)), Wheel.layer)))
  assert.isDefined(Context.get(context, Timers))
  return yield* Effect.provide(PacerRedis.make({ policy, processes, safety: 0.8 }), context)
})

suite(
  "Redis",
  (policy) =>
    Effect.gen(function* () {
      const { prefix, url } = yield* redis
      return yield* process(url, prefix, policy)
    }),
  !available
)

describe.skipIf(!available)("a fleet's pacer", () => {
  it.live("processes share one limit", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { prefix, url } = yield* redis
        const policy = policyOf({ requestsPerMinute: 1_200, burstMs: 500 })
        const pacers = yield* Effect.forEach([1, 2, 3], () => process(url, prefix, policy, 3))
        const began = yield* Clock.currentTimeMillis
        let left = 0
        const until = Deadline.within(began, 1_500)
        const busy = (pacer: (typeof pacers)[number]) =>
          Effect.gen(function* () {
            for (;;) {
              const exit = yield* Effect.exit(Effect.scoped(pacer.acquire(ask({ deadline: until }))))
              if (Exit.isFailure(exit)) return
              left++
            }
          })
        yield* Effect.forEach(pacers, busy, { concurrency: "unbounded" })
        const tookMs = (yield* Clock.currentTimeMillis) - began
        // 10 saved up, and 20 a second for all three together.
        assert.isAtMost(left, 10 + Math.ceil(tookMs / 50) + 1)
        assert.isAtLeast(left, 20)
      })
    )
  )

  it.live("a pause that one was asked for is kept by all", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { prefix, url } = yield* redis
        const policy = policyOf({ requestsPerMinute: 60_000, burstMs: 1_000 })
        const [one, two] = [yield* process(url, prefix, policy), yield* process(url, prefix, policy)]
        const permit = yield* one.acquire(ask())
        yield* two.acquire(ask())
        const began = yield* Clock.currentTimeMillis
        permit.limited(1_000)
        // It is told, not asked for: the other still has room of its own.
        while ((yield* two.state("openai", "openai/gpt")).pausedUntilMs === 0) yield* Effect.yieldNow
        yield* two.acquire(ask())
        assert.isAtLeast((yield* Clock.currentTimeMillis) - began, 990)
      })
    )
  )
})

describe.skipIf(!breakable)("a pacer whose Redis goes away", () => {
  it.live("keeps to its own part of the limit, and decides at once", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const server = yield* startRedis
        const policy = policyOf({ requestsPerMinute: 6_000, burstMs: 100 })
        const pacer = yield* process(server.url, "alone", policy, 4)
        yield* pacer.acquire(ask())
        yield* server.kill
        const began = yield* Clock.currentTimeMillis
        let left = 0
        const until = Deadline.within(began, 2_000)
        for (;;) {
          const exit = yield* Effect.exit(Effect.scoped(pacer.acquire(ask({ deadline: until }))))
          if (Exit.isFailure(exit)) break
          left++
        }
        // 100 a second, a quarter of it, 0.8 of that: 20 a second. What was here when it went, it has used.
        assert.isAtLeast(left, 20)
        assert.isAtMost(left, 20 * 2 + 15)
      })
    )
  )
})
