/** After the commit point: timeouts of a stream, what is counted, and that it is settled exactly once. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Layer, Result, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import type { ChatChunk } from "../../../src/domain/chat.ts"
import type { ProviderError } from "../../../src/domain/errors.ts"
import * as Usage from "../../../src/domain/usage.ts"
import { collect } from "../../../src/programs/collect.ts"
import { complete } from "../../../src/programs/complete.ts"
import { Bulkhead } from "../../../src/services/bulkhead.ts"
import { events } from "../../../src/services/provider.ts"
import type { CompletionEvent } from "../../../src/services/provider.ts"
import { TokenCounter } from "../../../src/services/token-counter.ts"
import {
  balanced,
  chat,
  chunk,
  completionOf,
  configOf,
  fail,
  make,
  streaming,
  timed,
  turns,
  whole
} from "../../support/scripted-ballast.ts"

type Rest = Stream.Stream<CompletionEvent, ProviderError>

/** Each text after a pause of so many ms. */
const drip = (pieces: ReadonlyArray<readonly [afterMs: number, piece: Parameters<typeof chunk>[0]]>): Rest =>
  Stream.mapEffect(Stream.fromIterable(pieces), ([afterMs, piece]) =>
    Effect.delay(Effect.succeed(chunk(piece)), afterMs)
  )

const streamed = (rest: Rest, config = configOf()) => make({ open: (call) => streaming(call, "De", rest) }, config)

/** A chunk with the given thing in the place of its usage. */
const withUsage = (event: CompletionEvent & { readonly _tag: "Chunk" }, usage: unknown): CompletionEvent => ({
  ...event,
  // What a provider sent is whatever it sent.
  chunk: { ...event.chunk, choices: [], usage: usage as Usage.Usage }
})

const ask = Effect.scoped(Effect.flatMap(complete(chat({ stream: true, max_tokens: 100 })), collect))

/** Read one answer to its end, `forMs` at most. */
const read = (forMs: number) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(timed(ask))
    yield* TestClock.adjust(forMs)
    const { at, exit } = yield* Fiber.join(fiber)
    const found = Exit.isFailure(exit) ? Cause.findError(exit.cause) : undefined
    return { at, exit, error: found !== undefined && Result.isSuccess(found) ? found.success : undefined }
  })

describe("the three timeouts of a stream", () => {
  it.effect("first token: 6 s for each call", () => {
    const { layer, world } = make({ open: () => Effect.never }, configOf({ retry: { maxRetries: 0, budgetMax: 0 } }))
    return Effect.gen(function* () {
      const { at, error } = yield* read(7_000)
      assert.deepStrictEqual(error?.reason, { _tag: "Timeout", phase: "first token", afterMs: 6_000 })
      assert.isAtLeast(at, 6_000)
      assert.isAtMost(at, 6_010)
      assert.deepStrictEqual(world.verdicts, ["one/m1: fail"])
      yield* balanced(world)
    }).pipe(Effect.provide(layer))
  })

  it.effect("idle: 15 s of silence, however long the stream has lived", () => {
    const { layer, world } = streamed(
      Stream.concat(drip([10_000, 14_900, 10_000].map((ms) => [ms, "x"])), Stream.never)
    )
    return Effect.gen(function* () {
      const { at, error } = yield* read(100_000)
      assert.deepStrictEqual(error?.reason, { _tag: "Timeout", phase: "idle", afterMs: 15_000 })
      assert.isAtLeast(at, 49_900)
      assert.isAtMost(at, 49_910)
      assert.deepStrictEqual(world.verdicts, ["one/m1: succeed 0", "one/m1: fail"])
      assert.strictEqual(world.ended[0]?.outcome, "ProviderError.Timeout")
      yield* balanced(world)
    }).pipe(Effect.provide(layer))
  })

  it.effect("total: the whole stream, chunks or not", () => {
    const endless: Rest = Stream.fromEffectRepeat(Effect.delay(Effect.succeed(chunk("x")), 1_000))
    const { layer, world } = streamed(endless, configOf({ timeouts: { streamMs: 20_000 } }))
    return Effect.gen(function* () {
      const { at, error } = yield* read(40_000)
      assert.deepStrictEqual(error?.reason, { _tag: "Timeout", phase: "total", afterMs: 20_000 })
      assert.isAtLeast(at, 20_000)
      assert.isAtMost(at, 20_010)
      yield* balanced(world)
    }).pipe(Effect.provide(layer))
  })

  it.effect("total comes first where the silence would end after it", () => {
    const { layer } = streamed(
      Stream.concat(drip([[10_000, "x"]]), Stream.never),
      configOf({ timeouts: { streamMs: 20_000 } })
    )
    return Effect.gen(function* () {
      const { at, error } = yield* read(40_000)
      assert.deepStrictEqual(error?.reason, { _tag: "Timeout", phase: "total", afterMs: 20_000 })
      assert.isAtMost(at, 20_010)
    }).pipe(Effect.provide(layer))
  })

  it.effect("the deadline of the way to the first token does not cut a stream that lives", () => {
    const { layer, world } = streamed(drip(Array.from({ length: 20 }, () => [1_000, "x"])))
    return Effect.gen(function* () {
      const { at, exit } = yield* read(60_000)
      assert.isTrue(Exit.isSuccess(exit))
      assert.strictEqual(at, 20_000)
      assert.strictEqual(world.ended[0]?.outcome, "ok")
      assert.strictEqual(world.ended[0]?.chunks, 21)
    }).pipe(Effect.provide(layer))
  })

  it.effect("a reader that takes its time is no silence of the provider", () => {
    const { layer, world } = streamed(Stream.make(chunk("ep"), chunk(".")).pipe(Stream.rechunk(1)))
    return Effect.gen(function* () {
      const slow = Effect.scoped(
        Effect.flatMap(complete(chat({ stream: true })), (completion) =>
          Stream.runForEach(events(completion), () => Effect.sleep(20_000))
        )
      )
      const fiber = yield* Effect.forkChild(slow)
      yield* TestClock.adjust(100_000)
      yield* Fiber.join(fiber)
      assert.strictEqual(world.ended[0]?.outcome, "ok")
    }).pipe(Effect.provide(layer))
  })
})

describe("what a broken stream says about its provider", () => {
  it.effect("a limit that is reached in the middle does not speak against it", () => {
    const { layer, world } = make({
      open: (call) =>
        streaming(call, "De", Stream.fromEffect(fail(call, { _tag: "RateLimited", detail: "enough for today" })))
    })
    return Effect.gen(function* () {
      const { error } = yield* read(1_000)
      assert.strictEqual(error?.reason._tag, "RateLimited")
      assert.deepStrictEqual(world.verdicts, ["one/m1: succeed 0"])
      yield* balanced(world)
    }).pipe(Effect.provide(layer))
  })

  it.effect(
    "a reader who is still reading when the stream's time is over is cut, and it is not the provider's fault",
    () => {
      const { layer, world } = streamed(Stream.forever(Stream.succeed(chunk("ep"))).pipe(Stream.rechunk(1)))
      return Effect.gen(function* () {
        const slow = Effect.scoped(
          Effect.flatMap(complete(chat({ stream: true })), (completion) =>
            Stream.runForEach(events(completion), () => Effect.sleep(20_000))
          )
        )
        const fiber = yield* Effect.forkChild(Effect.exit(slow))
        yield* TestClock.adjust(400_000)
        yield* Fiber.join(fiber)
        assert.strictEqual(world.ended[0]?.outcome, "ProviderError.Timeout")
        assert.isAtMost(world.ended[0]?.endedAt ?? Infinity, 320_010)
        assert.deepStrictEqual(world.verdicts, ["one/m1: succeed 0"])
        yield* balanced(world)
      }).pipe(Effect.provide(layer))
    }
  )
})

describe("promise 9: a truncated upstream is an error", () => {
  for (const reason of [
    { _tag: "Truncated", detail: "cut" },
    { _tag: "BrokenFrame", detail: "broken" },
    { _tag: "StreamError", detail: "sorry" }
  ] as const) {
    it.effect(`${reason._tag}: the stream fails, the breaker hears, the record and the reservation are closed`, () => {
      const { layer, world } = make({
        open: (call) => streaming(call, "De", Stream.concat(drip([[100, "ep"]]), Stream.fromEffect(fail(call, reason))))
      })
      return Effect.gen(function* () {
        const { error } = yield* read(1_000)
        assert.deepStrictEqual(error?.reason, reason)
        assert.deepStrictEqual(world.verdicts, ["one/m1: succeed 0", "one/m1: fail"])
        const [record] = world.ended
        assert.strictEqual(record?.outcome, `ProviderError.${reason._tag}`)
        assert.strictEqual(record?.attempts[0]?.endedAt, 100)
        assert.isFalse(record?.usageExact)
        assert.strictEqual(world.charges[0]?.settled.length, 1)
        yield* balanced(world)
      }).pipe(Effect.provide(layer))
    })
  }

  it.effect("mid-stream failures open the breaker, though each call had begun well", () => {
    const { layer, world } = make(
      { open: (call) => streaming(call, "De", Stream.fromEffect(fail(call, { _tag: "Truncated", detail: "cut" }))) },
      configOf({ breaker: { minimumCalls: 10 } })
    )
    return Effect.gen(function* () {
      const solo = Effect.scoped(Effect.flatMap(complete(chat({ model: "solo", stream: true })), collect))
      const tags = []
      for (let i = 0; i < 12; i++) tags.push((yield* Effect.flip(solo))._tag)
      assert.deepStrictEqual(
        tags.slice(0, 10),
        Array.from({ length: 10 }, () => "ProviderError")
      )
      assert.deepStrictEqual(tags.slice(10), ["CircuitBreakerError", "CircuitBreakerError"])
      yield* balanced(world)
    }).pipe(Effect.provide(layer))
  })
})

describe("promise 5: settled exactly once", () => {
  it.effect("a stream that ends: what the provider reported", () => {
    const { layer, world } = streamed(
      drip([
        [10, "ep"],
        [10, Usage.make(70, 30)]
      ])
    )
    return Effect.gen(function* () {
      yield* read(100)
      const [record] = world.ended
      assert.deepStrictEqual(world.charges[0]?.settled, [100])
      assert.deepStrictEqual(record?.usage, Usage.make(70, 30))
      assert.isTrue(record?.usageExact)
      assert.strictEqual(record?.cost, 70 + 60)
      assert.strictEqual(record?.chunks, 3)
      yield* balanced(world)
    }).pipe(Effect.provide(layer))
  })

  it.effect("the last report counts where every chunk has one", () => {
    const { layer, world } = streamed(
      drip([
        [10, Usage.make(70, 1)],
        [10, Usage.make(70, 2)]
      ])
    )
    return Effect.gen(function* () {
      yield* read(100)
      assert.deepStrictEqual(world.charges[0]?.settled, [72])
    }).pipe(Effect.provide(layer))
  })

  it.effect("a stream that reports nothing: the estimate of what was sent", () => {
    const text = "word ".repeat(200)
    const { layer, world } = streamed(drip([[10, text]]))
    return Effect.gen(function* () {
      yield* read(100)
      const [record] = world.ended
      assert.isFalse(record?.usageExact)
      assert.strictEqual(record?.usage?.prompt_tokens, record?.estimatedInput)
      // About four characters a token.
      assert.isAbove(record?.usage?.completion_tokens ?? 0, 150)
      assert.isBelow(record?.usage?.completion_tokens ?? 0, 400)
      assert.deepStrictEqual(world.charges[0]?.settled, [record?.usage?.total_tokens])
      assert.isAbove(record?.cost ?? 0, 0)
    }).pipe(Effect.provide(layer))
  })

  it.effect("tool calls are output too", () => {
    const call: ChatChunk = {
      id: "chatcmpl-1",
      object: "chat.completion.chunk",
      created: 0,
      model: "scripted",
      choices: [
        { index: 0, delta: { tool_calls: [{ index: 0, function: { name: "f", arguments: "x".repeat(400) } }] } }
      ]
    }
    const silent = streamed(Stream.empty)
    const talking = streamed(Stream.make({ _tag: "Chunk" as const, chunk: call, data: JSON.stringify(call) }))
    return Effect.gen(function* () {
      yield* Effect.provide(read(10), silent.layer)
      yield* Effect.provide(read(10), talking.layer)
      const [without, with_] = [silent, talking].map(({ world }) => world.ended[0]?.usage?.completion_tokens ?? 0)
      assert.isAbove(with_!, without! + 50)
    })
  })

  it.effect("a whole answer settles at once, not when its scope closes", () => {
    const { layer, world } = make({ open: whole })
    return Effect.gen(function* () {
      const scope = yield* Scope.make()
      yield* Scope.provide(complete(chat()), scope)
      assert.deepStrictEqual(world.charges[0]?.settled, [120])
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(world.charges[0]?.settled, [120])
      yield* balanced(world)
    }).pipe(Effect.provide(layer))
  })

  it.effect("a whole answer without a report is estimated from its text", () => {
    const { layer, world } = make({ open: (call) => whole(call, "word ".repeat(200), null) })
    return Effect.gen(function* () {
      yield* Effect.scoped(complete(chat()))
      const [record] = world.ended
      assert.isFalse(record?.usageExact)
      assert.isAbove(record?.usage?.completion_tokens ?? 0, 150)
      assert.deepStrictEqual(world.charges[0]?.settled, [record?.usage?.total_tokens])
    }).pipe(Effect.provide(layer))
  })

  it.effect("a whole answer to a streaming request is settled once as well", () => {
    const { layer, world } = make({ open: whole })
    return Effect.gen(function* () {
      assert.deepStrictEqual(yield* ask, completionOf("Deep.", Usage.make(100, 20)))
      assert.deepStrictEqual(world.charges[0]?.settled, [120])
      assert.strictEqual(world.ended[0]?.outcome, "ok")
      yield* balanced(world)
    }).pipe(Effect.provide(layer))
  })

  it.effect("a reader that leaves: what was sent until then", () => {
    const { layer, world } = streamed(
      Stream.concat(
        drip([
          [10, "ep "],
          [10, "and wide ".repeat(50)]
        ]),
        Stream.never
      )
    )
    return Effect.gen(function* () {
      for (const afterMs of [5, 15, 25]) {
        const fiber = yield* Effect.forkChild(ask)
        yield* TestClock.adjust(afterMs)
        yield* Fiber.interrupt(fiber)
      }
      assert.deepStrictEqual(
        world.ended.map(({ chunks, outcome }) => [outcome, chunks]),
        [
          ["cancelled", 1],
          ["cancelled", 2],
          ["cancelled", 3]
        ]
      )
      const [first, , last] = world.charges.map(({ settled }) => settled[0] ?? 0)
      assert.isAbove(last!, first! + 50)
      assert.isTrue(world.charges.every(({ settled }) => settled.length === 1))
      // The provider is not to blame.
      assert.deepStrictEqual(
        world.verdicts,
        Array.from({ length: 3 }, () => "one/m1: succeed 0")
      )
      yield* balanced(world)
    }).pipe(Effect.provide(layer))
  })

  it.effect("a reader that takes what it wants and closes well has cancelled", () => {
    const { layer, world } = streamed(Stream.make(chunk("ep"), chunk(".")).pipe(Stream.rechunk(1)))
    return Effect.gen(function* () {
      yield* Effect.scoped(
        Effect.flatMap(complete(chat({ stream: true })), (completion) =>
          Stream.runDrain(Stream.take(events(completion), 2))
        )
      )
      assert.strictEqual(world.ended[0]?.outcome, "cancelled")
      assert.strictEqual(world.ended[0]?.attempts[0]?.outcome, "cancelled")
      yield* balanced(world)
    }).pipe(Effect.provide(layer))
  })

  it.effect("an answer that nobody reads is settled when its scope closes", () => {
    const { layer, world } = streamed(Stream.make(chunk("ep")))
    return Effect.gen(function* () {
      yield* Effect.scoped(complete(chat({ stream: true })))
      assert.strictEqual(world.charges[0]?.settled.length, 1)
      assert.strictEqual(world.ended[0]?.outcome, "cancelled")
      yield* balanced(world)
    }).pipe(Effect.provide(layer))
  })

  it.effect("a defect in the stream is a defect, and everything is back", () => {
    const { layer, world } = streamed(Stream.die("a bug"))
    return Effect.gen(function* () {
      const exit = yield* Effect.exit(ask)
      assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
      assert.strictEqual(world.ended[0]?.outcome, "defect")
      yield* balanced(world)
    }).pipe(Effect.provide(layer))
  })
})

describe("a usage that is none", () => {
  // Chunks are not checked by a schema, and compatible servers send such things.
  const strange: ReadonlyArray<unknown> = [
    {},
    { prompt_tokens: 5, total_tokens: 5 },
    { prompt_tokens: null, completion_tokens: null, total_tokens: null },
    { prompt_tokens: "5", completion_tokens: "7", total_tokens: "12" },
    { prompt_tokens: -5, completion_tokens: -7, total_tokens: -12 },
    { prompt_tokens: Infinity, completion_tokens: 1.5, total_tokens: 1 },
    [],
    "many",
    7
  ]
  for (const usage of strange) {
    it.effect(`${JSON.stringify(usage)}: nothing that is no number gets into accounts`, () => {
      const event = chunk("")
      if (event._tag !== "Chunk") return assert.fail("not a chunk")
      const { layer, world } = streamed(Stream.make(withUsage(event, usage)))
      return Effect.gen(function* () {
        yield* read(10)
        const [record] = world.ended
        assert.strictEqual(record?.outcome, "ok")
        const counts = [record?.usage?.prompt_tokens, record?.usage?.completion_tokens, record?.cost]
        for (const count of [...counts, ...(world.charges[0]?.settled ?? [])]) {
          assert.isTrue(Number.isSafeInteger(count) && Number(count) >= 0, `${JSON.stringify(counts)}`)
        }
        assert.strictEqual(world.charges[0]?.settled.length, 1)
      }).pipe(Effect.provide(layer))
    })
  }
})

describe("the estimate", () => {
  it.effect("learns from what providers report, and from nothing else", () => {
    const learned: Array<readonly [model: string, estimated: number, reported: number]> = []
    const counter = Layer.succeed(TokenCounter, {
      estimate: () => 40,
      estimateEmbedding: () => 0,
      estimateText: () => 7,
      exact: () => Effect.succeed(40),
      learn: (...lesson) => void learned.push(lesson)
    })
    const { layer, world } = make({
      open: (call) =>
        call.n === 1
          ? whole(call)
          : call.n === 2
            ? streaming(call, "De", Stream.make(chunk(Usage.make(60, 2))))
            : streaming(call, "De", Stream.make(chunk("ep")))
    })
    return Effect.gen(function* () {
      for (let i = 0; i < 3; i++) yield* ask
      assert.deepStrictEqual(learned, [
        ["duo", 40, 100],
        ["duo", 40, 60]
      ])
      assert.deepStrictEqual(world.charges[2]?.settled, [47])
    }).pipe(Effect.provide(Layer.merge(layer, counter)))
  })
})

describe("a stream's place", () => {
  it.effect("is held until it has been read, and free at once after it", () => {
    const { layer, world } = streamed(drip([[1_000, "ep"]]))
    return Effect.gen(function* () {
      const bulkhead = yield* Bulkhead
      const fiber = yield* Effect.forkChild(ask)
      yield* TestClock.adjust(999)
      assert.strictEqual((yield* bulkhead.state("one")).inFlight, 1)
      yield* TestClock.adjust(1)
      yield* Fiber.join(fiber)
      yield* turns(1)
      yield* balanced(world)
    }).pipe(Effect.provide(layer))
  })
})
