/** A queue that is full: who gives way, and what those hear who have to go. */
import { assert, describe } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { ask, heldBy, line, occupy, on, policyOf, refusedWith, served, stateOf, teach, turns } from "./bulkhead-kit.ts"
import type { Suite } from "./bulkhead-kit.ts"

export const suite: Suite = (name, layer) => {
  const effect = on(layer, policyOf({ maxInFlight: 1, maxQueue: 4 }))

  describe(`Bulkhead, full queue: ${name}`, () => {
    effect(
      "the tenant that has most in it gives way, with its youngest",
      Effect.gen(function* () {
        yield* occupy(ask({ tenant: "busy" }))
        const whale = yield* Effect.forEach([0, 1, 2, 3], () => line(ask({ tenant: "whale" })))
        const small = yield* line(ask({ tenant: "small" }))
        const youngest = whale[3] ?? assert.fail()
        const { reason } = yield* refusedWith(youngest)
        assert.strictEqual(reason._tag, "QueueFull")
        assert.deepStrictEqual(
          [...whale.slice(0, 3), small].map((fiber) => fiber.pollUnsafe()),
          [undefined, undefined, undefined, undefined]
        )
        assert.deepStrictEqual(yield* stateOf(), { limit: 1, inFlight: 1, queued: 4 })
      })
    )

    effect(
      "the tenant that has most in it is refused when it comes with more",
      Effect.gen(function* () {
        yield* occupy(ask({ tenant: "busy" }))
        const whale = yield* Effect.forEach([0, 1, 2], () => line(ask({ tenant: "whale" })))
        const small = yield* line(ask({ tenant: "small" }))
        const late = yield* line(ask({ tenant: "whale" }))
        assert.strictEqual((yield* refusedWith(late)).reason._tag, "QueueFull")
        for (const fiber of [...whale, small]) assert.isUndefined(fiber.pollUnsafe())
      })
    )

    effect(
      "most is said by weight: a premium tenant may have more in it",
      Effect.gen(function* () {
        yield* occupy(ask({ tenant: "busy" }))
        const premium = yield* Effect.forEach([0, 1, 2], () => line(ask({ tenant: "premium", plan: "premium" })))
        const standard = yield* line(ask({ tenant: "standard" }))
        // 150 tokens of its queue's 300 against 100.
        const another = yield* line(ask({ tenant: "standard" }))
        assert.strictEqual((yield* refusedWith(another)).reason._tag, "QueueFull")
        for (const fiber of [...premium, standard]) assert.isUndefined(fiber.pollUnsafe())
      })
    )

    effect(
      "nobody is put out for somebody who would be served no earlier",
      Effect.gen(function* () {
        yield* occupy(ask({ tenant: "busy" }))
        const waiting = yield* Effect.forEach(["a", "b", "c", "d"], (tenant) => line(ask({ tenant })))
        const late = yield* line(ask({ tenant: "e" }))
        assert.strictEqual((yield* refusedWith(late)).reason._tag, "QueueFull")
        for (const fiber of waiting) assert.isUndefined(fiber.pollUnsafe())
      })
    )

    effect(
      "one large call is not put out for a crowd of small ones",
      Effect.gen(function* () {
        yield* occupy(ask({ tenant: "busy" }))
        const large = yield* line(ask({ tenant: "large", tokens: 100_000 }))
        const crowd = yield* Effect.forEach([0, 1, 2], () => line(ask({ tenant: "crowd", tokens: 10 })))
        const late = yield* line(ask({ tenant: "crowd", tokens: 10 }))
        assert.strictEqual((yield* refusedWith(late)).reason._tag, "QueueFull")
        for (const fiber of [large, ...crowd]) assert.isUndefined(fiber.pollUnsafe())
      })
    )

    effect(
      "a lower priority gives way to a higher one, the lowest first, its own tenant's too",
      Effect.gen(function* () {
        yield* occupy()
        const standard = yield* line(ask({ priority: "standard", tenant: "a" }))
        const background = yield* Effect.forEach([0, 1, 2], () => line(ask({ priority: "background" })))
        const critical = yield* Effect.forEach([0, 1, 2, 3], () => line(ask()))
        for (const fiber of [...background, standard]) {
          assert.strictEqual((yield* refusedWith(fiber)).reason._tag, "QueueFull")
        }
        for (const fiber of critical) assert.isUndefined(fiber.pollUnsafe())
      })
    )

    effect(
      "a higher priority never gives way to a lower one",
      Effect.gen(function* () {
        yield* occupy()
        const critical = yield* Effect.forEach([0, 1, 2, 3], () => line(ask({ tenant: "whale" })))
        for (const priority of ["standard", "background"] as const) {
          const lower = yield* line(ask({ priority, tenant: "small" }))
          assert.strictEqual((yield* refusedWith(lower)).reason._tag, "QueueFull")
        }
        for (const fiber of critical) assert.isUndefined(fiber.pollUnsafe())
      })
    )

    effect(
      "whoever was put out leaves the order of the others as it was",
      Effect.gen(function* () {
        const held = yield* occupy(ask({ tenant: "busy" }))
        const whale = yield* Effect.forEach([0, 1, 2, 3], () => line(ask({ tenant: "whale" })))
        const small = yield* line(ask({ tenant: "small" }))
        yield* held.release
        yield* turns(2)
        const order = [whale[0], small, whale[1], whale[2]]
        for (const fiber of order) {
          if (fiber === undefined) return assert.fail()
          assert.isTrue(served(fiber))
          yield* heldBy(fiber).release
          yield* turns(2)
        }
        assert.deepStrictEqual(yield* stateOf(), { limit: 1, inFlight: 0, queued: 0 })
      })
    )

    effect(
      "refusals name the time in which the queue drains, times 0.5 to 1.5, each another",
      Effect.gen(function* () {
        yield* teach(10, 2_000)
        yield* occupy(ask({ tenant: "busy" }))
        yield* Effect.forEach([0, 1, 2, 3], () => line())
        const times = new Set<number>()
        for (let i = 0; i < 200; i++) {
          const { reason } = yield* Effect.flip(occupy())
          if (reason._tag !== "QueueFull") return assert.fail(reason._tag)
          // Four that wait and one more, two seconds each.
          assert.isAtLeast(reason.retryAfterMs, 5_000)
          assert.isAtMost(reason.retryAfterMs, 15_000)
          times.add(Math.round(reason.retryAfterMs))
        }
        assert.isAbove(times.size, 100)
        const sorted = [...times].toSorted((a, b) => a - b)
        assert.isBelow(sorted[0] ?? Infinity, 6_000)
        assert.isAbove(sorted.at(-1) ?? 0, 14_000)
      }),
      policyOf({ maxInFlight: 1, maxQueue: 4, maxWaitMs: 1_000_000 })
    )

    effect(
      "no refusal says to come back at once, nor in an hour",
      Effect.gen(function* () {
        yield* teach(10, 1)
        yield* occupy()
        const quick = yield* Effect.flip(occupy())
        if (quick.reason._tag !== "QueueFull") return assert.fail(quick.reason._tag)
        assert.isAtLeast(quick.reason.retryAfterMs, 100)
        yield* teach(10, 3_600_000, ask({ key: "slow" }))
        yield* occupy(ask({ key: "slow" }))
        const slow = yield* Effect.flip(occupy(ask({ key: "slow" })))
        if (slow.reason._tag !== "QueueFull") return assert.fail(slow.reason._tag)
        assert.isAtMost(slow.reason.retryAfterMs, 90_000)
        yield* TestClock.adjust(1)
      }),
      policyOf({ maxInFlight: 1, maxQueue: 0 })
    )
  })
}
