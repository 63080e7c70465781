import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import * as Caller from "../../../../src/domain/caller.ts"
import { defaults } from "../../../../src/domain/policy.ts"
import * as RateLimiterMemory from "../../../../src/layers/rate-limiter/memory.ts"
import { suite } from "../../../conformance/rate-limiter.ts"

suite("memory", RateLimiterMemory.layer)

describe("rate limiter in memory", () => {
  it.effect("forgets callers whose buckets are full again", () =>
    Effect.gen(function* () {
      const { service, size } = yield* RateLimiterMemory.make(defaults.rateLimits)
      const visit = (id: number) =>
        service.reserve(Caller.make(`t${id % 50}`, { user: `u${id}`, ip: `ip${id}` }), 1).pipe(
          Effect.map((reservation) => reservation.settle(1)),
          Effect.scoped
        )
      for (let minute = 0; minute < 20; minute++) {
        for (let i = 0; i < 1_000; i++) yield* visit(minute * 1_000 + i)
        yield* TestClock.adjust("1 minute")
      }
      // 20,000 users were here; those of the last minutes may still be remembered.
      assert.isBelow(size(), 8_000)
      for (let i = 0; i < 10_000; i++) {
        yield* visit(1)
        yield* TestClock.adjust(700)
      }
      assert.isBelow(size(), 10)
    })
  )

  it.effect("keeps a bucket that an open reservation needs", () =>
    Effect.gen(function* () {
      const { service, size } = yield* RateLimiterMemory.make(defaults.rateLimits)
      yield* service.reserve(Caller.make("held", { user: "ann" }), 1)
      yield* TestClock.adjust("1 hour")
      for (let i = 0; i < 20; i++) yield* Effect.scoped(service.reserve(Caller.make("other"), 1))
      assert.isAtLeast(size(), 2)
    })
  )
})
