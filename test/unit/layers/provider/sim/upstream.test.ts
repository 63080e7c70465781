import { createHash } from "node:crypto"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber } from "effect"
import * as Scheduler from "effect/Scheduler"
import { TestClock } from "effect/testing"
import type { ChatCompletion } from "../../../../../src/domain/chat.ts"
import type { FaultInput, SimOptionsInput } from "../../../../../src/layers/provider/sim/options.ts"
import * as Sim from "../../../../../src/layers/provider/sim/upstream.ts"
import { call, candidate, chat, open, steady, textOf, within } from "./drive.ts"
import type { Seen } from "./drive.ts"

const streamed = (rest: Parameters<typeof chat>[0] = {}) => open(chat({ stream: true, ...rest }))
const struck = (fault: FaultInput, stream = true) => open(chat({ stream, sim: { fault } }))

const wholeOf = (seen: Seen): ChatCompletion => {
  const event = seen.events[0]
  assert(event?._tag === "Whole")
  return event.completion
}

const tool = (name: string) => ({
  type: "function",
  function: {
    name,
    parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] }
  }
})
const median = (values: ReadonlyArray<number>) => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0
const transcript = (options: SimOptionsInput) =>
  Effect.gen(function* () {
    const { control, upstream } = yield* Sim.make({
      rpm: 200,
      concurrency: 4,
      faults: [
        { kind: "cut", probability: 0.2, afterChunks: 4 },
        { kind: "reject", probability: 0.1, status: 500 }
      ],
      ...options
    })
    const all = yield* within(
      600_000,
      Effect.forEach(
        Array.from({ length: 300 }, (_, i) => i),
        (i) =>
          Effect.andThen(
            Effect.sleep(i * 37),
            call(
              upstream,
              streamed({ messages: [{ role: "user", content: `question ${i % 10}` }], stream: i % 3 !== 0 })
            )
          ),
        { concurrency: "unbounded" }
      )
    )
    const text = all.map((seen) => [seen.error?.reason, seen.times, seen.events.map((event) => event.data)])
    return createHash("sha256")
      .update(JSON.stringify([text, yield* control.stats]))
      .digest("hex")
  })

// Each run starts its own clock at 0, as two runs of a program would.
const run = (seed: number) => Effect.scoped(transcript({ seed })).pipe(Effect.provide(TestClock.layer()))
// 20 requests a second against a limit of 10: with refusals counted nothing gets through until the callers pause.
const storm = (refusedCount: boolean) =>
  Effect.gen(function* () {
    const { control, upstream } = yield* Sim.make({ ...steady, rpm: 600, burstMs: 1000, refusedCount })
    yield* within(
      60_000,
      Effect.forEach(
        Array.from({ length: 20 * 30 }, (_, i) => i),
        (i) => Effect.andThen(Effect.sleep(i * 50), call(upstream, open(chat()))),
        { concurrency: "unbounded", discard: true }
      )
    )
    return yield* control.stats
  })

const leaving = (abandoned: "stop" | "continue") =>
  Effect.gen(function* () {
    const { control, upstream } = yield* Sim.make({ ...steady, abandoned })
    const fiber = yield* Effect.forkChild(call(upstream, streamed()))
    yield* TestClock.adjust(115)
    yield* Fiber.interrupt(fiber)
    const left = yield* control.stats
    yield* TestClock.adjust(1000)
    return [left, yield* control.stats] as const
  })

const embed = (input: string, rest = {}) => ({
  embedding: { model: "any", input, ...rest },
  body: undefined,
  deadlineMs: Infinity,
  traceparent: undefined
})

describe("answers", () => {
  it.effect("streams the role, a token a chunk, the finish reason and the usage, each at its time", () =>
    Effect.gen(function* () {
      const { upstream } = yield* Sim.make(steady)
      const seen = yield* within(1000, call(upstream, open(chat({ stream: true }), { includeUsage: true })))
      assert.deepStrictEqual(seen.times, [100, 100, 110, 120, 130, 140, 140, 140])
      assert.strictEqual(seen.openedAt, 100)
      const chunks = seen.events.map((event) => {
        assert(event._tag === "Chunk")
        assert.deepStrictEqual(JSON.parse(event.data), event.chunk)
        return event.chunk
      })
      assert.deepStrictEqual(chunks[0]?.choices, [
        { index: 0, delta: { role: "assistant", content: "" }, finish_reason: null }
      ])
      assert.deepStrictEqual(
        chunks.map((chunk) => chunk.choices[0]?.finish_reason),
        [null, null, null, null, null, null, "stop", undefined]
      )
      assert.deepStrictEqual(chunks.at(-1)?.usage, { prompt_tokens: 7, completion_tokens: 5, total_tokens: 12 })
      assert.match(textOf(seen), /^[A-Z][a-z]+( [A-Za-z]+\.?){4}$/)
    })
  )

  it.effect("sends usage only where somebody asked", () =>
    Effect.gen(function* () {
      const { upstream } = yield* Sim.make(steady)
      const plain = yield* within(1000, call(upstream, streamed()))
      assert.strictEqual(plain.events.length, 7)
      const asked = yield* within(1000, call(upstream, streamed({ stream_options: { include_usage: true } })))
      assert.strictEqual(asked.events.length, 8)
    })
  )

  it.effect("answers in one piece, with the same text as the stream, when its last token is due", () =>
    Effect.gen(function* () {
      const { upstream } = yield* Sim.make(steady)
      const whole = yield* within(1000, call(upstream, open(chat())))
      const stream = yield* within(1000, call(upstream, streamed()))
      assert.strictEqual(whole.openedAt, 140)
      assert.strictEqual(textOf(whole), textOf(stream))
      const event = whole.events[0]
      assert(event?._tag === "Whole")
      assert.deepStrictEqual(JSON.parse(event.data), event.completion)
      assert.strictEqual(event.completion.choices[0]?.finish_reason, "stop")
    })
  )

  it.effect("stops at max_tokens with `length`", () =>
    Effect.gen(function* () {
      const { upstream } = yield* Sim.make(steady)
      const cut = wholeOf(yield* within(1000, call(upstream, open(chat({ max_tokens: 3 })))))
      assert.strictEqual(cut.choices[0]?.finish_reason, "length")
      assert.strictEqual(cut.usage?.completion_tokens, 3)
      const enough = wholeOf(yield* within(1000, call(upstream, open(chat({ max_completion_tokens: 5 })))))
      assert.strictEqual(enough.choices[0]?.finish_reason, "stop")
    })
  )

  it.effect("gives n choices and counts them all", () =>
    Effect.gen(function* () {
      const { upstream } = yield* Sim.make(steady)
      const whole = wholeOf(yield* within(1000, call(upstream, open(chat({ n: 3 })))))
      assert.deepStrictEqual(
        whole.choices.map((choice) => choice.index),
        [0, 1, 2]
      )
      assert.strictEqual(whole.usage?.completion_tokens, 15)
      const stream = yield* within(1000, call(upstream, streamed({ n: 3 })))
      assert.strictEqual(stream.events.length, 21)
    })
  )

  it.effect("calls the tool it is told to call, streamed and whole", () =>
    Effect.gen(function* () {
      const { upstream } = yield* Sim.make(steady)
      const asks = {
        tools: [tool("time"), tool("weather")],
        tool_choice: { type: "function", function: { name: "weather" } }
      }
      const whole = wholeOf(yield* within(9000, call(upstream, open(chat(asks)))))
      const calls = whole.choices[0]?.message["tool_calls"]
      assert.strictEqual(whole.choices[0]?.finish_reason, "tool_calls")
      const text = JSON.stringify(calls)
      assert.match(text, /"name":"weather"/)
      const stream = yield* within(9000, call(upstream, streamed(asks)))
      const deltas = stream.events.flatMap((event) =>
        event._tag === "Chunk" ? (event.chunk.choices[0]?.delta.tool_calls ?? []) : []
      )
      assert.strictEqual(deltas[0]?.function?.name, "weather")
      const args = JSON.parse(deltas.map((delta) => delta.function?.arguments ?? "").join(""))
      assert.strictEqual(typeof args.city, "string")
      const free = wholeOf(yield* within(9000, call(upstream, open(chat({ ...asks, tool_choice: "auto" })))))
      assert.strictEqual(free.choices[0]?.finish_reason, "stop")
    })
  )

  it.effect("writes exactly the text, the length and the times a request asks for", () =>
    Effect.gen(function* () {
      const { upstream } = yield* Sim.make()
      const said = yield* within(
        1000,
        call(upstream, streamed({ sim: { text: "exactly this", ttftMs: 7, perTokenMs: 2 } }))
      )
      assert.strictEqual(textOf(said), "exactly this")
      assert.deepStrictEqual(said.times, [7, 7, 9, 11, 11])
      const long = yield* within(
        1000,
        call(upstream, open(chat({ sim: { outputTokens: 9, ttftMs: 1, perTokenMs: 0 } })))
      )
      assert.strictEqual(wholeOf(long).usage?.completion_tokens, 9)
    })
  )

  it.effect("refuses a field `sim` that it does not understand", () =>
    Effect.gen(function* () {
      const { control, upstream } = yield* Sim.make()
      const seen = yield* call(upstream, open(chat({ sim: { fault: { kind: "earthquake" } } })))
      assert.strictEqual(seen.error?.reason._tag, "BadRequest")
      assert.strictEqual((yield* control.stats).calls, 0)
    })
  )

  it.effect("puts tokens that are due together into one chunk where told to", () =>
    Effect.gen(function* () {
      const { upstream } = yield* Sim.make({ ...steady, tokensPerChunk: 2 })
      const seen = yield* within(1000, call(upstream, streamed()))
      assert.deepStrictEqual(seen.times, [100, 110, 130, 140, 140])
      const one = yield* Sim.make({ ...steady, tokensPerChunk: 1000 })
      assert.deepStrictEqual((yield* within(1000, call(one.upstream, streamed()))).times, [100, 140, 140])
    })
  )

  it.effect("gives a late reader all that is due at once", () =>
    Effect.gen(function* () {
      const { upstream } = yield* Sim.make(steady)
      const seen = yield* Effect.scoped(
        Effect.gen(function* () {
          const opened = yield* within(100, upstream.open(candidate, streamed()))
          yield* TestClock.adjust(10_000)
          const fiber = yield* Effect.forkChild(
            // One pull after the first events: everything else is due.
            call({ open: () => Effect.succeed(opened), embed: () => Effect.never }, streamed())
          )
          return yield* Fiber.join(fiber)
        })
      )
      assert.strictEqual(seen.endedAt, 0)
      assert.strictEqual(seen.events.length, 7)
    })
  )
})

describe("chance", () => {
  it.effect("draws first-token and token times whose medians are the configured ones", () =>
    Effect.gen(function* () {
      const { upstream } = yield* Sim.make({
        seed: 7,
        ttft: { medianMs: 300, sigma: 0.5 },
        perToken: { medianMs: 20, sigma: 0.3 },
        outputTokens: { median: 2, sigma: 0 }
      })
      const all = yield* within(
        60_000,
        Effect.forEach(Array.from({ length: 2000 }), () => call(upstream, streamed()), { concurrency: "unbounded" })
      )
      assert.closeTo(median(all.map((seen) => seen.openedAt ?? 0)), 300, 15)
      assert.closeTo(median(all.map((seen) => (seen.times[2] ?? 0) - (seen.times[1] ?? 0))), 20, 1)
      const logs = all.map((seen) => Math.log((seen.openedAt ?? 0) / 300))
      assert.closeTo(Math.sqrt(logs.reduce((sum, x) => sum + x * x, 0) / logs.length), 0.5, 0.03)
    })
  )

  it.effect("makes the configured share of calls stragglers", () =>
    Effect.gen(function* () {
      const { upstream } = yield* Sim.make({ ...steady, straggler: { probability: 0.05, factor: 10 } })
      const all = yield* within(
        60_000,
        Effect.forEach(Array.from({ length: 2000 }), () => call(upstream, open(chat())), { concurrency: "unbounded" })
      )
      const slow = all.filter((seen) => seen.endedAt > 140)
      assert.closeTo(slow.length, 100, 30)
      assert(slow.every((seen) => seen.endedAt === 1400))
    })
  )

  it.effect("same seed: the same transcript to the byte; other seed: another", () =>
    Effect.gen(function* () {
      const first = yield* run(1)
      assert.strictEqual(yield* run(1), first)
      assert.notStrictEqual(yield* run(2), first)
    })
  )
})

describe("faults", () => {
  const refusals: ReadonlyArray<readonly [FaultInput, string]> = [
    [{ kind: "outage" }, "Overloaded"],
    [{ kind: "outage", status: 500 }, "ServerError"],
    [{ kind: "reject", status: 400 }, "BadRequest"],
    [{ kind: "reject", status: 401 }, "Authentication"],
    [{ kind: "reject", status: 403 }, "PermissionDenied"],
    [{ kind: "reject", status: 404 }, "NotFound"],
    [{ kind: "reject", status: 413 }, "TooLarge"],
    [{ kind: "reject", status: 429, retryAfterMs: 1500 }, "RateLimited"],
    [{ kind: "reject", status: 429, code: "insufficient_quota" }, "QuotaExhausted"],
    [{ kind: "reject", status: 529 }, "Overloaded"],
    [{ kind: "refuse" }, "Unreachable"]
  ]
  for (const [fault, reason] of refusals) {
    it.effect(`${JSON.stringify(fault)} is ${reason}`, () =>
      Effect.gen(function* () {
        const { control, upstream } = yield* Sim.make({ ...steady, faults: [fault] })
        const seen = yield* call(upstream, streamed())
        assert.strictEqual(seen.error?.reason._tag, reason)
        assert.strictEqual(
          seen.error !== undefined && "retryAfterMs" in seen.error.reason ? seen.error.reason.retryAfterMs : undefined,
          "retryAfterMs" in fault ? fault.retryAfterMs : undefined
        )
        assert.strictEqual((yield* control.stats).running, 0)
      })
    )
  }

  it.effect("an outage begins and ends on time, and leaves running calls alone", () =>
    Effect.gen(function* () {
      const { upstream } = yield* Sim.make({ ...steady, faults: [{ kind: "outage", fromMs: 50, toMs: 60_050 }] })
      const before = yield* Effect.forkChild(call(upstream, streamed()))
      yield* TestClock.adjust(50)
      assert.strictEqual((yield* call(upstream, streamed())).error?.reason._tag, "Overloaded")
      yield* TestClock.adjust(59_999)
      assert.strictEqual((yield* call(upstream, streamed())).error?.reason._tag, "Overloaded")
      assert.strictEqual((yield* Fiber.join(before)).error, undefined)
      yield* TestClock.adjust(1)
      assert.strictEqual((yield* within(1000, call(upstream, streamed()))).error, undefined)
    })
  )

  it.effect("flaps: down for half a period, up for the other", () =>
    Effect.gen(function* () {
      const { upstream } = yield* Sim.make({ ...steady, faults: [{ kind: "flapping", periodMs: 10_000 }] })
      const seen: Array<boolean> = []
      for (let second = 0; second < 20; second++) {
        seen.push((yield* within(1000, call(upstream, open(chat())))).error === undefined)
      }
      assert.deepStrictEqual(
        seen,
        Array.from({ length: 20 }, (_, second) => second % 10 >= 5)
      )
    })
  )

  it.effect("a brownout delays the first token alone, a slow drip the others alone", () =>
    Effect.gen(function* () {
      const { upstream } = yield* Sim.make(steady)
      const brown = yield* within(9000, call(upstream, struck({ kind: "brownout" })))
      assert.deepStrictEqual(brown.times, [1000, 1000, 1010, 1020, 1030, 1040, 1040])
      const drip = yield* within(9000, call(upstream, struck({ kind: "slow-drip", factor: 50 })))
      assert.deepStrictEqual(drip.times, [100, 100, 600, 1100, 1600, 2100, 2100])
    })
  )

  const middle: ReadonlyArray<readonly [FaultInput["kind"], string, string]> = [
    ["cut", "Truncated", "Truncated"],
    ["broken-frame", "BrokenFrame", "BadResponse"],
    ["stream-error", "StreamError", "ServerError"]
  ]
  for (const [kind, ofStream, ofWhole] of middle) {
    it.effect(`${kind} strikes after its chunks, and a whole answer too`, () =>
      Effect.gen(function* () {
        const { control, upstream } = yield* Sim.make(steady)
        const seen = yield* within(1000, call(upstream, struck({ kind, afterChunks: 3 } as FaultInput)))
        assert.strictEqual(seen.events.length, 3)
        assert.strictEqual(seen.error?.reason._tag, ofStream)
        assert.strictEqual(seen.endedAt, 120)
        const first = yield* within(1000, call(upstream, struck({ kind, afterChunks: 0 } as FaultInput)))
        assert.strictEqual(first.openedAt, undefined)
        assert.strictEqual(first.error?.reason._tag, ofStream)
        const late = yield* within(1000, call(upstream, struck({ kind, afterChunks: 99 } as FaultInput)))
        assert.strictEqual(late.events.length, 6)
        assert.strictEqual(late.error?.reason._tag, ofStream)
        const whole = yield* within(1000, call(upstream, struck({ kind } as FaultInput, false)))
        assert.strictEqual(whole.error?.reason._tag, ofWhole)
        assert.deepInclude(yield* control.stats, { running: 0, failed: 4, finished: 0, generatedTokens: 2 + 0 + 5 + 2 })
      })
    )
  }

  for (const fault of [{ kind: "hang" }, { kind: "hang", phase: "body" }, { kind: "stall", afterChunks: 3 }] as const) {
    it.effect(`${JSON.stringify(fault)} never ends by itself, and ends with its caller`, () =>
      Effect.gen(function* () {
        const { control, upstream } = yield* Sim.make({ ...steady, abandoned: "continue" })
        for (const stream of [true, false]) {
          const fiber = yield* Effect.forkChild(call(upstream, struck(fault, stream)))
          yield* TestClock.adjust("1 hour")
          assert.strictEqual(fiber.pollUnsafe(), undefined)
          assert.strictEqual((yield* control.stats).running, 1)
          yield* Fiber.interrupt(fiber)
          assert.strictEqual((yield* control.stats).running, 0)
        }
        assert.deepInclude(yield* control.stats, { calls: 2, abandoned: 2, finished: 0 })
      })
    )
  }

  it.effect("a stall sends what came before it", () =>
    Effect.gen(function* () {
      const { upstream } = yield* Sim.make(steady)
      yield* Effect.scoped(
        Effect.gen(function* () {
          const opened = yield* within(1000, upstream.open(candidate, struck({ kind: "stall", afterChunks: 1 })))
          assert.strictEqual(opened.first._tag, "Chunk")
        })
      )
    })
  )

  it.effect("faults come and go on command, for a time where told so", () =>
    Effect.gen(function* () {
      const { control, upstream } = yield* Sim.make(steady)
      const tag = Effect.map(within(200, call(upstream, open(chat()))), (seen) => seen.error?.reason._tag)
      yield* TestClock.adjust(5000)
      yield* control.set({ kind: "outage", fromMs: 0, toMs: 300, probability: 1, status: 503 })
      assert.strictEqual(yield* tag, "Overloaded")
      assert.strictEqual(yield* tag, "Overloaded")
      assert.strictEqual(yield* tag, undefined)
      yield* control.set({ kind: "refuse", fromMs: 0, probability: 1 })
      assert.strictEqual(yield* tag, "Unreachable")
      yield* control.clear
      assert.strictEqual(yield* tag, undefined)
    })
  )

  it.effect("a fault with a probability strikes its share", () =>
    Effect.gen(function* () {
      const { control, upstream } = yield* Sim.make({
        ...steady,
        faults: [{ kind: "reject", status: 500, probability: 0.3 }]
      })
      yield* within(
        1000,
        Effect.forEach(Array.from({ length: 1000 }), () => call(upstream, open(chat())), { concurrency: "unbounded" })
      )
      assert.closeTo((yield* control.stats).failed, 300, 50)
    })
  )
})

describe("limits", () => {
  it.effect("refuses above the requests a minute, says when, and lets in then", () =>
    Effect.gen(function* () {
      const { control, upstream } = yield* Sim.make({ ...steady, rpm: 60, burstMs: 2000 })
      const first = yield* within(200, Effect.scoped(upstream.open(candidate, open(chat()))))
      assert.deepStrictEqual(first.upstream, {
        remainingRequests: 1,
        remainingTokens: undefined,
        limitRequests: 60,
        limitTokens: undefined
      })
      assert.strictEqual(
        (yield* within(0, call(upstream, open(chat({ sim: { ttftMs: 0, perTokenMs: 0 } }))))).error,
        undefined
      )
      const refused = yield* call(upstream, open(chat()))
      assert(refused.error?.reason._tag === "RateLimited")
      assert.strictEqual(refused.error.reason.status, 429)
      assert.strictEqual(refused.error.reason.retryAfterMs, 800)
      yield* TestClock.adjust(799)
      assert.strictEqual((yield* call(upstream, open(chat()))).error?.reason._tag, "RateLimited")
      yield* TestClock.adjust(1)
      assert.strictEqual((yield* within(200, call(upstream, open(chat())))).error, undefined)
      assert.deepInclude(yield* control.stats, { calls: 5, refused: 2, finished: 3 })
    })
  )

  it.effect("refused calls that count lock the callers out", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* storm(true)).finished, 19)
    })
  )

  it.effect("refused calls that do not count leave the limit to the others", () =>
    Effect.gen(function* () {
      assert.closeTo((yield* storm(false)).finished, 310, 3)
    })
  )

  it.effect("counts tokens of prompt and answer, and refuses for good what never fits", () =>
    Effect.gen(function* () {
      const { upstream } = yield* Sim.make({ ...steady, tpm: 1200, burstMs: 1000 })
      assert.strictEqual(
        (yield* within(0, call(upstream, open(chat({ sim: { ttftMs: 0, perTokenMs: 0 } }))))).error,
        undefined
      )
      const refused = yield* call(upstream, open(chat()))
      assert(refused.error?.reason._tag === "RateLimited")
      assert.strictEqual(refused.error.reason.retryAfterMs, 200)
      const never = yield* call(upstream, open(chat({ sim: { outputTokens: 100 } })))
      assert.strictEqual(never.error?.reason._tag, "TooLarge")
    })
  )
})

describe("callers who leave", () => {
  it.effect("stop: the work ends with them, and only what was made is billed", () =>
    Effect.gen(function* () {
      const [left, later] = yield* leaving("stop")
      assert.deepInclude(left, { running: 0, abandoned: 1, finished: 0, generatedTokens: 2 })
      assert.deepStrictEqual(later, left)
    })
  )

  it.effect("continue: the work goes on without them", () =>
    Effect.gen(function* () {
      const [left, later] = yield* leaving("continue")
      assert.deepInclude(left, { running: 1, abandoned: 1, finished: 0 })
      assert.deepInclude(later, { running: 0, abandoned: 1, finished: 1, generatedTokens: 5 })
    })
  )

  it.effect("a reader who has read all, or reads late, has not left", () =>
    Effect.gen(function* () {
      const { control, upstream } = yield* Sim.make(steady)
      yield* within(1000, call(upstream, streamed()))
      yield* within(1000, Effect.scoped(Effect.andThen(upstream.open(candidate, streamed()), Effect.sleep(500))))
      assert.deepInclude(yield* control.stats, { running: 0, abandoned: 0, finished: 2 })
    })
  )

  it.effect("interrupted at any point: nothing stays running", () =>
    Effect.gen(function* () {
      for (let ops = 3; ops <= 64; ops++) {
        for (const at of [0, 50, 100, 125]) {
          yield* Effect.gen(function* () {
            const { control, upstream } = yield* Sim.make(steady)
            const fiber = yield* Effect.forkChild(
              Effect.provideService(call(upstream, streamed()), Scheduler.MaxOpsBeforeYield, ops)
            )
            yield* TestClock.adjust(at)
            const exit = yield* Effect.exit(Effect.andThen(Fiber.interrupt(fiber), Fiber.await(fiber)))
            assert(Exit.isSuccess(exit))
            assert.strictEqual((yield* control.stats).running, 0)
            // The processor must be free again: a second call runs at its usual pace.
            const next = yield* within(1000, call(upstream, streamed()))
            assert.strictEqual(next.endedAt, 140)
          }).pipe(Effect.scoped)
        }
      }
    })
  )
})

describe("a busy provider", () => {
  it.effect("slows all calls down beyond its concurrency", () =>
    Effect.gen(function* () {
      const { upstream } = yield* Sim.make({ ...steady, concurrency: 2 })
      const all = yield* within(
        5000,
        Effect.forEach(Array.from({ length: 8 }), () => call(upstream, streamed()), { concurrency: "unbounded" })
      )
      assert(all.every((seen) => seen.openedAt === 400 && seen.endedAt === 560))
    })
  )

  it.effect("speeds up again when one ends", () =>
    Effect.gen(function* () {
      const { upstream } = yield* Sim.make({ ...steady, concurrency: 1 })
      const asked = (outputTokens: number) =>
        call(upstream, open(chat({ sim: { outputTokens, ttftMs: 0, perTokenMs: 10 } })))
      // 100 ms and 200 ms of work share one place: the short one takes 200 ms, the long one its last 100 ms alone.
      const [short, long] = yield* within(5000, Effect.all([asked(11), asked(21)], { concurrency: "unbounded" }))
      assert.closeTo(short.endedAt, 200, 0.01)
      assert.closeTo(long.endedAt, 300, 0.01)
    })
  )

  it.effect("loses capacity in the middle of calls that run", () =>
    Effect.gen(function* () {
      const { upstream } = yield* Sim.make({
        ...steady,
        concurrency: 10,
        faults: [{ kind: "capacity", factor: 0.2, fromMs: 100, toMs: 200 }]
      })
      const all = yield* within(
        5000,
        Effect.forEach(
          Array.from({ length: 10 }),
          () => call(upstream, open(chat({ sim: { outputTokens: 21, ttftMs: 0, perTokenMs: 10 } }))),
          { concurrency: "unbounded" }
        )
      )
      // 100 ms at full speed, 100 ms at a fifth of it, the rest of 200 ms of work at full speed again.
      for (const seen of all) assert.closeTo(seen.endedAt, 280, 0.01)
    })
  )
})

describe("embeddings", () => {
  it.effect("answers in order, in both encodings, and takes faults", () =>
    Effect.gen(function* () {
      const { upstream } = yield* Sim.make({ embedding: { dimension: 8, medianMs: 30, sigma: 0 } })
      const plain = yield* within(30, Effect.scoped(upstream.embed(candidate, embed("a calm bay"))))
      assert.deepStrictEqual(JSON.parse(plain.data), plain.response)
      assert.strictEqual(plain.response.data[0]?.embedding.length, 8)
      assert.deepInclude(plain.response.usage, { prompt_tokens: 3, total_tokens: 3 })
      const coded = yield* within(
        30,
        Effect.scoped(upstream.embed(candidate, embed("a calm bay", { encoding_format: "base64", dimensions: 16 })))
      )
      const text = coded.response.data[0]?.embedding
      assert(typeof text === "string")
      assert.strictEqual(Buffer.from(text, "base64").length, 64)
      const cut = yield* within(
        30,
        Effect.flip(Effect.scoped(upstream.embed(candidate, embed("x", { sim: { fault: { kind: "cut" } } }))))
      )
      assert.strictEqual(cut.reason._tag, "Truncated")
    })
  )
})
