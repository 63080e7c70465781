/** Which candidate is asked when, and whose failure the caller gets. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import { errorTable } from "../../../src/domain/error-table.ts"
import { DeadlineError } from "../../../src/domain/errors.ts"
import type { ProviderReason } from "../../../src/domain/errors.ts"
import { complete } from "../../../src/programs/complete.ts"
import { Bulkhead } from "../../../src/services/bulkhead.ts"
import { CircuitBreaker } from "../../../src/services/circuit-breaker.ts"
import { KillSwitch } from "../../../src/services/kill-switch.ts"
import { balanced, chat, configOf, fail, make, overloaded, richRetries, whole } from "../../support/scripted-ballast.ts"
import type { Call } from "../../support/scripted-ballast.ts"

const ask = Effect.scoped(complete(chat()))

const providers = (calls: ReadonlyArray<Call>) => calls.map(({ candidate }) => candidate.provider)

/** Which reason each of the calls fails with. */
const failing = (reasons: ReadonlyArray<ProviderReason>, policies: Parameters<typeof configOf>[0] = {}) =>
  make(
    {
      open: (call) => {
        const reason = reasons[call.n - 1]
        return reason === undefined ? whole(call) : fail(call, reason)
      }
    },
    configOf({ retry: richRetries, ...policies })
  )

const server = (detail: string): ProviderReason => ({ _tag: "ServerError", detail })
const noMoney: ProviderReason = { _tag: "QuotaExhausted", detail: "no money" }

const flipped = Effect.gen(function* () {
  const fiber = yield* Effect.forkChild(Effect.flip(ask))
  yield* TestClock.adjust(8_000)
  return yield* Fiber.join(fiber)
})

describe("the class of an error decides", () => {
  const reasons: ReadonlyArray<ProviderReason> = [
    { _tag: "RateLimited", detail: "x" },
    { _tag: "QuotaExhausted", detail: "x" },
    { _tag: "Overloaded", detail: "x" },
    { _tag: "ServerError", detail: "x" },
    { _tag: "BadRequest", detail: "x" },
    { _tag: "Authentication", detail: "x" },
    { _tag: "PermissionDenied", detail: "x" },
    { _tag: "NotFound", detail: "x" },
    { _tag: "TooLarge", detail: "x" },
    { _tag: "Unreachable", detail: "x" },
    { _tag: "Timeout", phase: "connect", afterMs: 1 },
    { _tag: "Truncated", detail: "x" },
    { _tag: "BrokenFrame", detail: "x" },
    { _tag: "BadResponse", detail: "x" },
    { _tag: "StreamError", detail: "x" }
  ]
  for (const reason of reasons) {
    const { breaker, next } = errorTable[`ProviderError.${reason._tag}`]
    it.effect(`ProviderError.${reason._tag}: ${next}`, () => {
      const { layer, world } = failing(Array.from({ length: 6 }, () => reason))
      return Effect.gen(function* () {
        assert.deepStrictEqual((yield* flipped).reason, reason)
        assert.deepStrictEqual(
          providers(world.calls),
          next === "stop" ? ["one"] : next === "next" ? ["one", "two"] : ["one", "one", "one", "two", "two", "two"]
        )
        assert.strictEqual(world.budget.drawn, world.calls.length - 1)
        assert.strictEqual(world.verdicts.length, breaker ? world.calls.length : 0)
        yield* balanced(world)
      }).pipe(Effect.provide(layer))
    })
  }
})

describe("whose failure the caller gets", () => {
  it.effect("of the last call that was made", () => {
    const { layer } = failing([server("first"), noMoney, { _tag: "Authentication", detail: "last" }])
    return Effect.gen(function* () {
      assert.deepStrictEqual((yield* flipped).reason, { _tag: "Authentication", detail: "last" })
    }).pipe(Effect.provide(layer))
  })

  it.effect("of a call that was made rather than of a refusal after it", () => {
    const { layer, world } = failing([noMoney])
    return Effect.gen(function* () {
      yield* (yield* CircuitBreaker).trip("two/m2", 60_000)
      assert.deepStrictEqual((yield* flipped).reason, noMoney)
      assert.deepStrictEqual(
        world.ended[0]?.attempts.map(({ called, outcome }) => [called, outcome]),
        [
          [true, "ProviderError.QuotaExhausted"],
          [false, "CircuitBreakerError.Open"]
        ]
      )
      assert.deepStrictEqual(world.ended[0]?.outcome, "ProviderError.QuotaExhausted")
    }).pipe(Effect.provide(layer))
  })

  it.effect("of a call that was made rather than of a refusal before it", () => {
    const { layer } = failing([noMoney])
    return Effect.gen(function* () {
      yield* (yield* CircuitBreaker).trip("one/m1", 60_000)
      assert.deepStrictEqual((yield* flipped).reason, noMoney)
    }).pipe(Effect.provide(layer))
  })

  it.effect("of the last refusal where nobody was called", () => {
    const { layer, world } = failing([])
    return Effect.gen(function* () {
      yield* (yield* CircuitBreaker).trip("one/m1", 60_000)
      yield* (yield* KillSwitch).off("provider", "two")
      const error = yield* flipped
      assert.strictEqual(error._tag, "KillSwitchError")
      assert.strictEqual(world.calls.length, 0)
      assert.strictEqual(world.budget.drawn, 0)
      yield* balanced(world)
    }).pipe(Effect.provide(layer))
  })

  it.effect("where the budget runs dry midway, of the last call that it allowed", () => {
    const { layer, world } = failing([server("first"), server("second"), server("third")], {
      retry: { budgetMax: 1, budgetRatio: 0 }
    })
    return Effect.gen(function* () {
      assert.deepInclude((yield* flipped).reason, { detail: "second" })
      assert.strictEqual(world.calls.length, 2)
      assert.strictEqual(world.budget.drawn, 1)
    }).pipe(Effect.provide(layer))
  })
})

describe("the budget", () => {
  it.effect("a refusal after a failed call draws for the next call, and is drawn back when it is refused", () => {
    // One call fails, two's place is taken: the draw for it must be back.
    const { layer, world } = failing([noMoney])
    return Effect.gen(function* () {
      yield* (yield* KillSwitch).off("provider", "two")
      yield* flipped
      assert.strictEqual(world.budget.drawn, 1)
      yield* balanced(world)
    }).pipe(Effect.provide(layer))
  })

  it.effect("an extra call is in flight from its draw to the end of its answer, its pause included", () => {
    const { layer, world } = make(
      { open: (call) => (call.n === 1 ? fail(call, overloaded(1_000)) : Effect.delay(whole(call), 500)) },
      configOf({ retry: { baseMs: 1, capMs: 1 } })
    )
    return Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(ask)
      yield* TestClock.adjust(500)
      assert.deepInclude(world.budget, { first: 0, extra: 1 })
      yield* TestClock.adjust(700)
      assert.deepInclude(world.budget, { first: 0, extra: 1 })
      yield* TestClock.adjust(1_000)
      yield* Fiber.join(fiber)
      assert.deepInclude(world.budget, { first: 0, extra: 0, deposits: 1 })
    }).pipe(Effect.provide(layer))
  })
})

describe("a queue that is too long for the deadline", () => {
  /** Provider `one` has nobody who can be served in time. */
  const busy = Layer.effect(
    Bulkhead,
    Effect.map(Bulkhead, (bulkhead) =>
      Bulkhead.of({
        ...bulkhead,
        acquireUnsafe: (request) =>
          request.key === "one"
            ? () => Effect.fail(new DeadlineError({ reason: { _tag: "Exceeded", stage: "queue", budgetMs: 8_000 } }))
            : bulkhead.acquireUnsafe(request)
      })
    )
  )

  it.effect("is the next candidate's chance, and costs the budget nothing", () => {
    const { layer, world } = failing([])
    return Effect.gen(function* () {
      yield* ask
      assert.deepStrictEqual(providers(world.calls), ["two"])
      assert.strictEqual(world.budget.drawn, 0)
      yield* balanced(world)
    }).pipe(Effect.provide(Layer.provideMerge(busy, layer)))
  })
})
