/** What is asked for: as written, or less of it while many wait. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import * as Caller from "../../../src/domain/caller.ts"
import type { Model } from "../../../src/domain/catalog.ts"
import type { ChatChunk } from "../../../src/domain/chat.ts"
import * as Usage from "../../../src/domain/usage.ts"
import * as Ask from "../../../src/programs/ask.ts"
import { collect } from "../../../src/programs/collect.ts"
import { complete } from "../../../src/programs/complete.ts"
import { Bulkhead } from "../../../src/services/bulkhead.ts"
import { CurrentCaller } from "../../../src/services/caller.ts"
import { none } from "../../../src/services/deadline.ts"
import {
  balanced,
  chat,
  chunk,
  completionOf,
  configOf,
  make,
  streaming,
  turns,
  whole
} from "../../support/scripted-ballast.ts"
import type { Call } from "../../support/scripted-ballast.ts"

const model: Model = {
  alias: "m",
  kind: "chat",
  candidates: [{ provider: "one", model: "m1" }],
  price: { input: 1, output: 1 },
  contextTokens: 1_000,
  maxOutputTokens: 500
}

describe("capped", () => {
  it("lowers the limit in the caller's own words", () => {
    assert.deepStrictEqual(Ask.capped(chat({ max_tokens: 100 }), model, 64), chat({ max_tokens: 64 }))
    assert.deepStrictEqual(
      Ask.capped(chat({ max_completion_tokens: 100 }), model, 64),
      chat({ max_completion_tokens: 64 })
    )
    assert.deepStrictEqual(
      Ask.capped(chat({ max_completion_tokens: 100, max_tokens: 10 }), model, 64),
      chat({ max_completion_tokens: 64, max_tokens: 10 })
    )
    assert.deepStrictEqual(
      Ask.capped(chat({ max_completion_tokens: null, max_tokens: 100 }), model, 64),
      chat({ max_completion_tokens: null, max_tokens: 64 })
    )
  })

  it("sets one where the caller named none, and the model would write more", () => {
    assert.deepStrictEqual(Ask.capped(chat(), model, 64), chat({ max_tokens: 64 }))
    assert.deepStrictEqual(Ask.capped(chat({ max_tokens: null }), model, 64), chat({ max_tokens: 64 }))
    assert.isUndefined(Ask.capped(chat(), { ...model, maxOutputTokens: 64 }, 64))
  })

  it("leaves alone what asks for no more", () => {
    assert.isUndefined(Ask.capped(chat({ max_tokens: 64 }), model, 64))
    assert.isUndefined(Ask.capped(chat({ max_completion_tokens: 3 }), model, 64))
  })
})

const config = (shorter: object, features = {}) =>
  configOf(
    {
      bulkhead: { maxInFlight: 2, maxQueue: 8, maxWaitMs: 60_000 },
      brownout: { shorter: { maxTokens: 64, ...shorter } }
    },
    {
      features
    }
  )

/** Both places at `one` are taken, and `queued` callers wait for one, until the effect is run. */
const pressure = (queued: number) =>
  Effect.gen(function* () {
    const bulkhead = yield* Bulkhead
    const fibers = yield* Effect.forEach(Array.from({ length: 2 + queued }), () =>
      Effect.forkDetach(
        Effect.scoped(
          Effect.andThen(
            bulkhead.acquire({
              key: "one",
              tenant: "other",
              plan: "standard",
              tokens: 1,
              priority: "critical",
              streamed: true,
              deadline: none
            }),
            Effect.never
          )
        ),
        { startImmediately: true }
      )
    )
    return Fiber.interruptAll(fibers)
  })

const background = Caller.make("acme", { priority: "background" })

/** One answer asked for while `queued` wait. */
const underPressure = (queued: number, more: Parameters<typeof chat>[0] = {}, body?: string) =>
  Effect.gen(function* () {
    const release = yield* pressure(queued)
    const fiber = yield* Effect.forkChild(
      Effect.scoped(
        Effect.flatMap(complete(chat({ model: "solo", max_tokens: 100, ...more }), body), (completion) =>
          Effect.map(collect(completion), (answer) => ({ completion, answer }))
        )
      )
    )
    yield* turns(5)
    yield* release
    return yield* Fiber.join(fiber)
  })

const sent = ({ request }: Call) => ("chat" in request ? [request.chat.max_tokens, request.body] : undefined)

/** A whole answer that ended so. */
const ending = (call: Call, finish_reason: string) => {
  const answer = completionOf("Deep.", Usage.make(100, 20))
  const completion = { ...answer, choices: [{ ...answer.choices[0]!, finish_reason }] }
  return Effect.map(whole(call), (each) => ({
    ...each,
    first: { _tag: "Whole" as const, completion, data: JSON.stringify(completion) }
  }))
}

describe("shorter answers", () => {
  it.effect("are asked for while more wait than `above` for each place", () => {
    const { layer, world } = make({ open: (call) => ending(call, "length") }, config({ above: 1 }))
    return Effect.gen(function* () {
      const { completion } = yield* underPressure(3, {}, "the text")
      assert.deepStrictEqual(world.calls.map(sent), [[64, undefined]])
      assert.deepStrictEqual(completion.degraded, { rung: "shorter", reason: "pressure" })
      assert.deepStrictEqual([world.ended[0]?.rung, world.ended[0]?.degradedReason], ["shorter", "pressure"])
      yield* balanced(world)
    }).pipe(Effect.provideService(CurrentCaller, background), Effect.provide(layer))
  })

  it.effect("not while fewer wait, and what was written goes out as it was", () => {
    const { layer, world } = make({ open: whole }, config({ above: 1 }))
    return Effect.gen(function* () {
      const { completion } = yield* underPressure(2, {}, "the text")
      assert.deepStrictEqual(world.calls.map(sent), [[100, "the text"]])
      assert.notProperty(completion, "degraded")
      yield* balanced(world)
    }).pipe(Effect.provideService(CurrentCaller, background), Effect.provide(layer))
  })

  it.effect("with `above` 0 as soon as anyone waits, but not while only the places are taken", () => {
    const { layer, world } = make({ open: whole }, config({ above: 0 }))
    return Effect.gen(function* () {
      yield* underPressure(0)
      yield* underPressure(1)
      assert.deepStrictEqual(
        world.calls.map((call) => sent(call)?.[0]),
        [100, 64]
      )
      yield* balanced(world)
    }).pipe(Effect.provideService(CurrentCaller, background), Effect.provide(layer))
  })

  it.effect("not for critical callers, unless they are meant as well", () => {
    const spared = make({ open: whole }, config({ above: 0 }))
    const meant = make({ open: whole }, config({ above: 0, critical: true }))
    return Effect.gen(function* () {
      yield* Effect.provide(underPressure(1), spared.layer)
      yield* Effect.provide(underPressure(1), meant.layer)
      assert.deepStrictEqual(
        [spared, meant].map(({ world }) => world.calls.map((call) => sent(call)?.[0])),
        [[100], [64]]
      )
    }).pipe(Effect.provideService(CurrentCaller, Caller.make("acme")))
  })

  it.effect("are full ones where the model had no more to say", () => {
    const { layer, world } = make({ open: (call) => ending(call, "stop") }, config({ above: 0 }))
    return Effect.gen(function* () {
      const { completion } = yield* underPressure(1)
      assert.strictEqual(sent(world.calls[0]!)?.[0], 64)
      assert.notProperty(completion, "degraded")
      assert.deepStrictEqual([world.ended[0]?.rung, world.ended[0]?.degradedReason], ["full", undefined])
    }).pipe(Effect.provideService(CurrentCaller, background), Effect.provide(layer))
  })

  it.effect("as streams say so before their end is known, and are recorded by their end", () => {
    const finish = (reason: string) => {
      const value: ChatChunk = {
        id: "c",
        object: "chat.completion.chunk",
        created: 0,
        model: "m",
        choices: [{ index: 0, delta: {}, finish_reason: reason }]
      }
      return { _tag: "Chunk" as const, chunk: value, data: JSON.stringify(value) }
    }
    const { layer, world } = make(
      {
        open: (call) =>
          streaming(
            call,
            "De",
            Stream.make(chunk("ep"), finish(call.n === 1 ? "length" : "stop"), chunk(Usage.make(9, 2)))
          )
      },
      config({ above: 0 })
    )
    return Effect.gen(function* () {
      const first = yield* underPressure(1, { stream: true })
      const second = yield* underPressure(1, { stream: true })
      assert.deepStrictEqual(
        [first, second].map(({ completion }) => completion.degraded),
        [
          { rung: "shorter", reason: "pressure" },
          { rung: "shorter", reason: "pressure" }
        ]
      )
      assert.deepStrictEqual(
        world.ended.map(({ degradedReason, rung }) => [rung, degradedReason]),
        [
          ["shorter", "pressure"],
          ["full", undefined]
        ]
      )
      yield* balanced(world)
    }).pipe(Effect.provideService(CurrentCaller, background), Effect.provide(layer))
  })
})
