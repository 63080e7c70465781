/** Limits, lease and budget of a request: asked together, given back together, settled once; streams cut at their cap. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Stream } from "effect"
import { TestClock } from "effect/testing"
import type { BallastConfigInput } from "../../../src/domain/config-file.ts"
import * as Caller from "../../../src/domain/caller.ts"
import type { CompletionEvent } from "../../../src/services/provider.ts"
import { complete } from "../../../src/programs/complete.ts"
import { Budget } from "../../../src/services/budget.ts"
import { CurrentCaller } from "../../../src/services/caller.ts"
import { Leases } from "../../../src/services/leases.ts"
import { events } from "../../../src/services/provider.ts"
import { chat, configOf, make, streaming } from "../../support/scripted-ballast.ts"

type Policies = NonNullable<BallastConfigInput["policies"]>

/** A stream of `count` chunks of some 25 tokens each, one a second. */
const words = (count: number): Stream.Stream<CompletionEvent> =>
  Stream.fromIterable(Array.from({ length: count }, (_, index) => index)).pipe(
    Stream.mapEffect((index) =>
      Effect.delay(
        Effect.sync((): CompletionEvent => {
          const chunk = {
            id: "chatcmpl-1",
            object: "chat.completion.chunk" as const,
            created: 0,
            model: "scripted",
            choices: [
              { index: 0, delta: { content: "word ".repeat(20) }, finish_reason: index === count - 1 ? "stop" : null }
            ]
          }
          return { _tag: "Chunk", chunk, data: JSON.stringify(chunk) }
        }),
        1_000
      )
    )
  )

const world = (policies: Policies, chunks = 200, more: Partial<BallastConfigInput> = {}) =>
  make({ open: (call) => streaming(call, "Once", words(chunks)) }, configOf(policies, more))

const ask = (more: Readonly<Record<string, unknown>> = {}, caller = Caller.make("acme")) =>
  Effect.scoped(
    Effect.flatMap(complete(chat({ model: "solo", stream: true, ...more })), (completion) =>
      Stream.runCollect(events(completion))
    )
  ).pipe(Effect.provideService(CurrentCaller, caller))

/** Run while virtual time goes by. */
const timed = <A, E, R>(effect: Effect.Effect<A, E, R>, ms = 250_000) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(Effect.exit(effect))
    for (let passed = 0; passed < ms; passed += 1_000) yield* TestClock.adjust(1_000)
    return yield* Fiber.join(fiber)
  })

const spentOf = (tenant = "acme") =>
  Effect.map(
    Effect.flatMap(Budget, (budget) => budget.status(Caller.make(tenant).tenant)),
    ({ caps }) => ({ spent: caps[0]?.spent ?? 0, reserved: caps[0]?.reserved ?? 0 })
  )

const day = (microUsd: number): Policies => ({ budgets: { tenant: { day: { microUsd } } } })

describe("promise 6: a stream that would pass its cap", () => {
  it.effect("is cut with a finish reason and a banner, and what was said is booked", () => {
    const { layer, world: books } = world(day(4_000))
    return Effect.gen(function* () {
      const exit = yield* timed(ask())
      if (!Exit.isSuccess(exit)) return assert.fail("it was refused")
      const chunks = exit.value.flatMap((event) => (event._tag === "Chunk" ? [event.chunk] : []))
      const last = chunks.find(({ choices }) => choices.some(({ finish_reason }) => finish_reason === "cost_cap"))
      assert.deepInclude(last?.["ballast"], { partial: true, reason: "BudgetError.Exhausted" })
      // Cut in time: of 200 pieces that would have cost some 8,000.
      assert.isBelow(chunks.length, 110)
      assert.isAbove(chunks.length, 20)
      const { reserved, spent } = yield* spentOf()
      assert.isAtMost(spent, 4_000)
      assert.isAbove(spent, 3_000)
      assert.strictEqual(reserved, 0)
      const [record] = books.ended
      assert.deepStrictEqual([record?.outcome, record?.rung, record?.cost], ["ok", "partial", spent])
      assert.strictEqual(books.calls[0]?.closed, 1)
    }).pipe(Effect.provide(layer))
  })

  it.effect("asks for more as it goes, where there is more", () => {
    const { layer } = world(day(1_000_000), 100)
    return Effect.gen(function* () {
      const exit = yield* timed(ask())
      if (!Exit.isSuccess(exit)) return assert.fail("it was refused")
      assert.isFalse(JSON.stringify(exit.value).includes("cost_cap"))
      const { reserved, spent } = yield* spentOf()
      // More than the 1,024 tokens at two micro-dollars that a stream begins with.
      assert.isAbove(spent, 2_100)
      assert.strictEqual(reserved, 0)
    }).pipe(Effect.provide(layer))
  })

  it.effect("the request's own cap cuts it too", () => {
    const { layer } = world({ budgets: { request: { microUsd: 600 } } })
    return Effect.gen(function* () {
      const exit = yield* timed(ask())
      assert.isTrue(Exit.isSuccess(exit) && JSON.stringify(exit.value).includes("cost_cap"))
    }).pipe(Effect.provide(layer))
  })
})

describe("admission", () => {
  it.effect("what one of them gave goes back where another refuses", () => {
    const { layer, world: books } = world({
      ...day(5_000),
      leases: { standard: 1 },
      rateLimits: { tenant: { requestsPerMinute: 3 } }
    })
    return Effect.gen(function* () {
      const holder = yield* Effect.forkChild(ask({ max_tokens: 1_000 }))
      yield* TestClock.adjust(1_500)
      const { reserved } = yield* spentOf()
      assert.isAbove(reserved, 2_000)
      for (let i = 0; i < 5; i++) {
        const error = yield* Effect.flip(ask({ max_tokens: 1_000 }))
        assert.strictEqual(`${error._tag}.${error.reason._tag}`, "LeaseError.Exceeded")
      }
      assert.strictEqual((yield* spentOf()).reserved, reserved)
      yield* Fiber.interrupt(holder)
      const leases = yield* Leases
      assert.strictEqual(yield* leases.held(Caller.make("acme").tenant), 0)
      // Neither the refusals nor the one who left were counted as requests; what he had been told is booked.
      assert.strictEqual(books.charges.filter(({ released }) => released).length, books.charges.length)
      const after = yield* spentOf()
      assert.strictEqual(after.reserved, 0)
      assert.isAbove(after.spent, 0)
    }).pipe(Effect.provide(layer))
  })

  it.effect("a budget that is used up refuses for good, and no call is made", () => {
    const { layer, world: books } = world(day(2_100), 3)
    return Effect.gen(function* () {
      yield* timed(ask({ max_tokens: 1_000 }), 6_000)
      const exit = yield* timed(ask({ max_tokens: 1_000 }), 6_000)
      const error = Exit.isFailure(exit) ? yield* Effect.flip(exit) : assert.fail("it was let in")
      assert.strictEqual(error.reason._tag, "Exhausted")
      assert.strictEqual(books.calls.length, 1)
      assert.deepStrictEqual([books.ended[1]?.outcome, books.ended[1]?.rung], ["BudgetError.Exhausted", "refused"])
    }).pipe(Effect.provide(layer))
  })
})

describe("near the end of a budget", () => {
  const models: Partial<BallastConfigInput> = {
    models: [
      {
        alias: "solo",
        candidates: ["one/m1"],
        price: { inputPerMillion: 1, outputPerMillion: 2 },
        smaller: "small"
      },
      { alias: "small", candidates: ["two/m2"], price: { inputPerMillion: 0.1, outputPerMillion: 0.2 } }
    ]
  }
  const policies: Policies = {
    budgets: { tenant: { day: { microUsd: 3_000 } }, downgrade: 0.9, downgradeTokens: 60 }
  }
  const long = [
    { role: "system", content: "Be brief." },
    ...Array.from({ length: 10 }, (_, n) => ({
      role: n % 2 === 0 ? "user" : "assistant",
      content: `turn ${n} `.repeat(20)
    })),
    { role: "user", content: "The question" }
  ]
  const premium = Caller.make("acme", { plan: "premium" })

  it.effect("a plan that asks for it gets the smaller model and the latest turns; another is refused", () => {
    const { layer, world: books } = world(policies, 3, models)
    return Effect.gen(function* () {
      const exit = yield* timed(ask({ max_tokens: 1_400, messages: long }, premium), 6_000)
      assert.isTrue(Exit.isSuccess(exit))
      const [call] = books.calls
      assert.strictEqual(call?.candidate.model, "m2")
      const request = call?.request
      const messages = request !== undefined && "chat" in request ? request.chat.messages : []
      assert.strictEqual(messages[0]?.role, "system")
      assert.strictEqual(messages.at(-1)?.content, "The question")
      assert.isBelow(messages.length, long.length)
      const [record] = books.ended
      assert.deepStrictEqual(
        [record?.answeredBy, record?.rung, record?.degradedReason],
        ["small", "smaller-model", "budget"]
      )
      const refused = yield* timed(ask({ max_tokens: 1_480, messages: long }), 6_000)
      assert.isTrue(Exit.isFailure(refused))
    }).pipe(Effect.provide(layer))
  })

  it.effect("what no longer fits at full price may fit at the smaller one's", () => {
    const { layer, world: books } = world(
      { ...policies, budgets: { ...policies.budgets, tenant: { day: { microUsd: 1_000 } } } },
      3,
      models
    )
    return Effect.gen(function* () {
      yield* timed(ask({ max_tokens: 300 }, premium), 6_000)
      const status = yield* spentOf()
      assert.strictEqual(status.reserved, 0)
      // 600 at full price, and then more than is left of 1,000.
      const exit = yield* timed(ask({ max_tokens: 480 }, premium), 6_000)
      assert.isTrue(Exit.isSuccess(exit))
      assert.strictEqual(books.calls.at(-1)?.candidate.model, "m2")
    }).pipe(Effect.provide(layer))
  })
})
