/** What is learned from calls, and whom it turns away: work that cannot be done in time is refused at once, not after a wait. */
import { assert, describe } from "@effect/vitest"
import { Clock, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import type { BulkheadRequest } from "../../src/services/bulkhead.ts"
import * as Deadline from "../../src/services/deadline.ts"
import {
  ask,
  heldBy,
  line,
  occupy,
  on,
  outcome,
  policyOf,
  refusedWith,
  roomy,
  served,
  stateOf,
  teach,
  turns
} from "./bulkhead-kit.ts"
import type { Held, Suite } from "./bulkhead-kit.ts"

/** A claim for a whole answer, `ms` before its deadline. */
const within = (ms: number, request: Partial<BulkheadRequest> = {}) =>
  Effect.map(Clock.currentTimeMillis, (now) => ask({ streamed: false, deadline: Deadline.within(now, ms), ...request }))

const whole = ask({ streamed: false })

/** Places that go to waiters, one after another: decisions that a doomed waiter's refusal is weighed against. */
const serveFromQueue = (count: number, places: number) =>
  Effect.gen(function* () {
    const others = yield* Effect.forEach(Array.from({ length: places - 1 }), () => occupy(whole))
    let held = yield* occupy(whole)
    for (let i = 0; i < count; i++) {
      const next = yield* line(whole)
      yield* TestClock.adjust(1_000)
      held.permit.answered(10, 1_000)
      yield* held.release
      yield* turns(2)
      held = heldBy(next)
    }
    for (const { release } of [held, ...others]) yield* release
  })

export const suite: Suite = (name, layer) => {
  const effect = on(layer, roomy({ maxInFlight: 1 }))

  describe(`Bulkhead, deadlines: ${name}`, () => {
    effect(
      "with nothing learned, everybody may wait",
      Effect.gen(function* () {
        yield* occupy(whole)
        const waiters = yield* Effect.forEach([1, 10, 100], (ms) => Effect.flatMap(within(ms), line))
        for (const waiter of waiters) assert.isUndefined(outcome(waiter))
      })
    )

    effect(
      "a claim whose wait and answer would take too long is refused at once",
      Effect.gen(function* () {
        yield* teach(10, 1_000, whole)
        yield* occupy(whole)
        const late = yield* line(yield* within(1_900))
        const error = yield* refusedWith(late)
        assert.strictEqual(error._tag, "DeadlineError")
        assert.deepStrictEqual(error.reason, { _tag: "Exceeded", stage: "queue", budgetMs: 1_900 })
        // A second in the queue and one for the answer, and something for luck.
        const early = yield* line(yield* within(3_000))
        assert.isUndefined(outcome(early))
      })
    )

    effect(
      "the wait is that in fair order: a small tenant may come late to a long queue",
      Effect.gen(function* () {
        yield* teach(10, 1_000, whole)
        yield* occupy(whole)
        yield* Effect.forEach(Array.from({ length: 30 }), () => line(ask({ tenant: "whale", streamed: false })))
        const whale = yield* line(yield* within(20_000, { tenant: "whale" }))
        assert.strictEqual((yield* refusedWith(whale))._tag, "DeadlineError")
        const small = yield* line(yield* within(5_000, { tenant: "small" }))
        assert.isUndefined(outcome(small))
      })
    )

    effect(
      "a claim that would wait longer than anybody may is refused at once",
      Effect.gen(function* () {
        yield* teach(10, 1_000, whole)
        yield* occupy(whole)
        const waiting = yield* Effect.forEach(Array.from({ length: 30 }), () => line(whole))
        const decided = waiting.filter((fiber) => outcome(fiber) !== undefined)
        assert.isAtLeast(decided.length, 20)
        for (const fiber of decided) assert.strictEqual((yield* refusedWith(fiber)).reason._tag, "QueueFull")
        assert.isAtLeast((yield* stateOf()).queued, 3)
      }),
      roomy({ maxInFlight: 1, maxWaitMs: 10_000 })
    )

    effect(
      "streams are judged by their first token, whole answers by their end",
      Effect.gen(function* () {
        for (let i = 0; i < 10; i++) {
          const stream = yield* occupy(ask())
          const answer = yield* occupy(whole)
          yield* TestClock.adjust(200)
          stream.permit.firstToken(200)
          yield* TestClock.adjust(4_800)
          answer.permit.answered(100, 5_000)
          yield* stream.release
          yield* answer.release
        }
        yield* Effect.forEach([0, 1, 2, 3], () => occupy(whole))
        const answer = yield* line(yield* within(4_000))
        assert.strictEqual((yield* refusedWith(answer))._tag, "DeadlineError")
        const stream = yield* line(yield* within(4_000, { streamed: true }))
        assert.isUndefined(outcome(stream))
      }),
      roomy({ maxInFlight: 4 })
    )

    effect(
      "a free place is given whatever was learned",
      Effect.gen(function* () {
        yield* teach(10, 1_000, whole)
        const held = yield* occupy(yield* within(1))
        assert.strictEqual(held.waited, 0)
      })
    )

    effect(
      "what was learned is forgotten in a long silence",
      Effect.gen(function* () {
        yield* teach(10, 1_000, whole)
        yield* TestClock.adjust("1 hour")
        yield* occupy(whole)
        const waiter = yield* line(yield* within(500))
        assert.isUndefined(outcome(waiter))
      })
    )

    effect(
      "one call that hangs does not turn the others away",
      Effect.gen(function* () {
        const hangs = yield* occupy(whole)
        yield* teach(100, 100, whole)
        hangs.permit.answered(1, 10_000)
        yield* hangs.release
        yield* occupy(whole)
        yield* occupy(whole)
        const waiter = yield* line(yield* within(400))
        assert.isUndefined(outcome(waiter))
      }),
      roomy({ maxInFlight: 2 })
    )

    effect(
      "a place is not wasted on a waiter that can no longer be answered in time",
      Effect.gen(function* () {
        yield* serveFromQueue(20, 2)
        const held = [yield* occupy(whole), yield* occupy(whole)] as const
        const doomed = yield* line(yield* within(4_000))
        const next = yield* line(whole)
        assert.isUndefined(outcome(doomed))
        // Nobody was served for long; what is left is less than an answer takes.
        yield* TestClock.adjust(3_200)
        yield* held[0].release
        yield* turns(2)
        assert.strictEqual((yield* refusedWith(doomed))._tag, "DeadlineError")
        assert.isTrue(served(next))
        assert.deepStrictEqual(yield* stateOf(), { limit: 2, inFlight: 2, queued: 0 })
      }),
      roomy({ maxInFlight: 2 })
    )

    effect(
      "with nothing in flight nobody is passed over by a guess: else nothing would ever be learned again",
      Effect.gen(function* () {
        yield* serveFromQueue(20, 1)
        const held = yield* occupy(whole)
        const doomed = yield* line(yield* within(4_000))
        yield* TestClock.adjust(3_200)
        yield* held.release
        yield* turns(2)
        assert.isTrue(served(doomed))
      })
    )

    effect(
      "a guess passes over a fifth of the waiters at most",
      Effect.gen(function* () {
        yield* serveFromQueue(10, 2)
        yield* occupy(whole)
        let held = yield* occupy(whole)
        const waiters: Array<Fiber.Fiber<Held, unknown>> = []
        for (let i = 0; i < 20; i++) waiters.push(yield* line(yield* within(60_000)))
        yield* TestClock.adjust(59_200)
        for (let i = 0; i < 20; i++) {
          const before = new Set(waiters.filter(served))
          yield* held.release
          yield* turns(2)
          const next = waiters.find((fiber) => served(fiber) && !before.has(fiber))
          if (next !== undefined) held = heldBy(next)
        }
        const passedOver = waiters.filter((fiber) => outcome(fiber) !== undefined && !served(fiber)).length
        assert.isAtLeast(passedOver, 1)
        assert.isAtMost(passedOver, 20 / 5)
        assert.strictEqual((yield* stateOf()).queued, 0)
      }),
      roomy({ maxInFlight: 2 })
    )

    effect(
      "a place is still not given to one whose deadline has passed, however many they are",
      Effect.gen(function* () {
        const held = yield* occupy(whole)
        const late: Array<Fiber.Fiber<Held, unknown>> = []
        for (let i = 0; i < 50; i++) late.push(yield* line(yield* within(101)))
        const next = yield* line(whole)
        yield* TestClock.adjust(102)
        yield* held.release
        yield* turns(2)
        assert.isTrue(served(next))
        assert.strictEqual(late.filter(served).length, 0)
      }),
      policyOf({ maxInFlight: 1, maxQueue: 100 })
    )
  })
}
