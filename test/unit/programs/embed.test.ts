/** The life of an embedding request: the guards of `complete` around an answer in one piece. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Scope } from "effect"
import { TestClock } from "effect/testing"
import * as Usage from "../../../src/domain/usage.ts"
import { embed } from "../../../src/programs/embed.ts"
import { balanced, configOf, embedded, fail, make, overloaded, timed } from "../../support/scripted-ballast.ts"

const request = { model: "vectors", input: ["hull", "keel"] }
const ask = Effect.scoped(embed(request, "the text"))

describe("embed", () => {
  it.effect("answers, settles what was used, and records it", () => {
    const { layer, world } = make({ embed: (call) => Effect.delay(embedded(call, 9), 100) })
    return Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(ask)
      yield* TestClock.adjust(100)
      const { data, response } = yield* Fiber.join(fiber)
      assert.deepStrictEqual(JSON.parse(data), response)
      const [record] = world.ended
      assert.deepInclude(record, {
        operation: "embeddings",
        outcome: "ok",
        model: "vectors",
        candidate: { provider: "one", model: "e1" },
        openedAt: 100,
        chunks: 1,
        usageExact: true,
        cost: 9,
        usage: Usage.make(9, 0)
      })
      assert.deepInclude(record?.attempts[0], { called: true, openedAt: 100, endedAt: 100, outcome: "ok" })
      assert.deepStrictEqual(world.charges[0]?.settled, [9])
      assert.strictEqual(world.budget.deposits, 1)
      const sent = world.calls[0]?.request
      assert.isTrue(sent !== undefined && "embedding" in sent && sent.embedding === request)
      assert.deepInclude(sent, { body: "the text", deadlineMs: 8_000 })
      yield* balanced(world)
    }).pipe(Effect.provide(layer))
  })

  it.effect("is retried and sent elsewhere under the one budget and the one deadline", () => {
    const { layer, world } = make({
      embed: (call) =>
        call.n === 1
          ? fail(call, overloaded(1_000))
          : call.n === 2
            ? fail(call, { _tag: "QuotaExhausted", detail: "x" })
            : embedded(call)
    })
    return Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(ask)
      yield* TestClock.adjust(2_000)
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(
        world.calls.map(({ candidate }) => candidate.provider),
        ["one", "one", "two"]
      )
      assert.isAtLeast(world.calls[1]?.at ?? 0, 1_000)
      assert.strictEqual(world.budget.drawn, 2)
      yield* balanced(world)
    }).pipe(Effect.provide(layer))
  })

  it.effect("ends at the deadline, charged with nothing", () => {
    const { layer, world } = make({ embed: () => Effect.never }, configOf({ timeouts: { firstTokenMs: 8_000 } }))
    return Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(timed(ask))
      yield* TestClock.adjust(9_000)
      const { at, exit } = yield* Fiber.join(fiber)
      assert.isTrue(Exit.isFailure(exit) && Cause.hasFails(exit.cause))
      assert.isAtMost(at, 8_010)
      assert.deepStrictEqual(world.charges[0]?.settled, [])
      yield* balanced(world)
    }).pipe(Effect.provide(layer))
  })

  it.effect("a chat model does not embed", () => {
    const { layer, world } = make({ embed: embedded })
    return Effect.gen(function* () {
      const error = yield* Effect.flip(Effect.scoped(embed({ model: "duo", input: "x" })))
      assert.strictEqual(error.reason._tag, "WrongKind")
      assert.strictEqual(world.calls.length, 0)
      assert.strictEqual(world.ended[0]?.outcome, "RequestError.WrongKind")
    }).pipe(Effect.provide(layer))
  })

  it.effect("a failure in a long-lived scope gives everything back at once", () => {
    const { layer, world } = make({ embed: (call) => fail(call, { _tag: "BadRequest", detail: "x" }) })
    return Effect.gen(function* () {
      const scope = yield* Scope.make()
      yield* Effect.exit(Scope.provide(embed(request), scope))
      yield* balanced(world)
      yield* Scope.close(scope, Exit.void)
      yield* balanced(world)
    }).pipe(Effect.provide(layer))
  })
})
