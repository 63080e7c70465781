import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as Processor from "../../../../../src/layers/provider/sim/processor.ts"

const fixed = (places: number): Processor.Capacity => ({ at: () => places, nextChange: () => Infinity })

// Whole ms: the clock of work carries a double's error.
const whole = (ms: number) => Math.round(ms * 100) / 100

describe("processor", () => {
  it.effect("jobs share equally: each is done when its share says so", () =>
    Effect.gen(function* () {
      const processor = yield* Processor.make(fixed(1))
      const done: Array<readonly [string, number]> = []
      const job = (name: string, work: number) =>
        processor.begin(processor.work() + work, () => done.push([name, whole(processor.now())]))
      job("a", 100)
      yield* TestClock.adjust(50)
      // a has 50 left, and from here on two share one place.
      job("b", 100)
      yield* TestClock.adjust(1000)
      assert.deepStrictEqual(done, [
        ["a", 150],
        ["b", 200]
      ])
    })
  )

  it.effect("a job that stops gives its share to the others at once", () =>
    Effect.gen(function* () {
      const processor = yield* Processor.make(fixed(1))
      let doneAt = 0
      let stopped = false
      const start = processor.work()
      processor.begin(start + 100, () => {
        doneAt = whole(processor.now())
      })
      const other = processor.begin(start + 1000, () => {
        stopped = true
      })
      yield* TestClock.adjust(100)
      processor.stop(other)
      processor.stop(other)
      yield* TestClock.adjust(1000)
      assert.strictEqual(doneAt, 150)
      assert.strictEqual(stopped, false)
    })
  )

  it.effect("wakes those who wait, in order, at the clock of work and not before", () =>
    Effect.gen(function* () {
      const processor = yield* Processor.make(fixed(2))
      const woken: Array<readonly [number, number]> = []
      const waits = yield* Effect.forkChild(
        Effect.forEach(
          [30, 10, 20, 10],
          (at, i) =>
            Effect.andThen(
              processor.wait(at),
              Effect.sync(() => woken.push([i, whole(processor.now())]))
            ),
          { concurrency: "unbounded" }
        )
      )
      yield* TestClock.adjust(15)
      for (let i = 0; i < 4; i++) processor.begin(1000, () => {})
      yield* TestClock.adjust(100)
      yield* Fiber.join(waits)
      assert.deepStrictEqual(woken, [
        [1, 10],
        [3, 10],
        [2, 25],
        [0, 45]
      ])
    })
  )

  it.effect("stands still without capacity and goes on with it", () =>
    Effect.gen(function* () {
      const processor = yield* Processor.make({
        at: (now) => (now >= 10 && now < 110 ? 0 : 1),
        nextChange: (now) => (now < 10 ? 10 : now < 110 ? 110 : Infinity)
      })
      let doneAt = 0
      processor.begin(50, () => {
        doneAt = whole(processor.now())
      })
      yield* TestClock.adjust(1000)
      assert.strictEqual(doneAt, 150)
    })
  )

  it.effect("takes a change from outside when told", () =>
    Effect.gen(function* () {
      let places = 1
      const processor = yield* Processor.make({ at: () => places, nextChange: () => Infinity })
      let doneAt = 0
      for (let i = 0; i < 2; i++) {
        processor.begin(100, () => {
          doneAt = whole(processor.now())
        })
      }
      yield* TestClock.adjust(100)
      places = 2
      processor.refresh()
      yield* TestClock.adjust(1000)
      assert.strictEqual(doneAt, 150)
    })
  )

  it.effect("forgets a waiter that was interrupted, and stops with its scope", () =>
    Effect.gen(function* () {
      let fired = false
      const waiter = yield* Effect.scoped(
        Effect.gen(function* () {
          const processor = yield* Processor.make(fixed(1))
          processor.begin(50, () => {
            fired = true
          })
          const interrupted = yield* Effect.forkChild(processor.wait(10))
          yield* Effect.yieldNow
          yield* Fiber.interrupt(interrupted)
          return interrupted
        })
      )
      yield* TestClock.adjust(1000)
      assert.strictEqual(fired, false)
      assert(waiter.pollUnsafe() !== undefined)
    })
  )
})
