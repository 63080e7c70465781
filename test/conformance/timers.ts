/** What every layer of the Timers port must do. Runs in virtual time. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { TestClock } from "effect/testing"
import { Timers } from "../../src/services/timers.ts"

const upTo = (max: number) => Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: max }))

/** Arm timer `id` in `armIn` ms (0: disarm it), then let `advance` ms pass. */
const Steps = Schema.Array(Schema.Struct({ id: upTo(3), armIn: upTo(500), advance: upTo(120) }))

/** `resolutionMs` is how late the layer may ring. */
export const suite = (name: string, layer: Layer.Layer<Timers>, resolutionMs: number): void => {
  const fresh = Layer.fresh(layer)
  const effect = <A, E>(title: string, test: Effect.Effect<A, E, Timers>) =>
    it.effect(title, () => Effect.provide(test, fresh))

  // The tests' times are for a resolution of 10 ms.
  const scale = resolutionMs / 10

  describe(`Timers: ${name}`, () => {
    effect(
      "never rings early, and at most one resolution late",
      Effect.gen(function* () {
        const timers = yield* Timers
        const rang: Array<[number, number]> = []
        for (const at of [1, 7, 10, 11, 99, 100, 101, 5_000, 5_003]) {
          timers.make(() => rang.push([at, timers.now()])).arm(at)
        }
        for (let ms = 0; ms < 5_300; ms++) yield* TestClock.adjust(1)
        assert.deepStrictEqual(
          rang.map(([at]) => at).toSorted((a, b) => a - b),
          [1, 7, 10, 11, 99, 100, 101, 5_000, 5_003]
        )
        for (const [at, now] of rang) {
          assert.isAtLeast(now, at)
          assert.isBelow(now, at + resolutionMs)
        }
      })
    )

    effect(
      "rings once",
      Effect.gen(function* () {
        const timers = yield* Timers
        let count = 0
        timers.make(() => count++).arm(100)
        yield* TestClock.adjust("1 hour")
        assert.strictEqual(count, 1)
      })
    )

    effect(
      "a disarmed timer does not ring, and can be armed again",
      Effect.gen(function* () {
        const timers = yield* Timers
        let count = 0
        const timer = timers.make(() => count++)
        timer.arm(100 * scale)
        timer.disarm()
        timer.disarm()
        yield* TestClock.adjust(200 * scale)
        assert.strictEqual(count, 0)
        timer.arm(300 * scale)
        yield* TestClock.adjust(110 * scale)
        assert.strictEqual(count, 1)
        timer.arm(400 * scale)
        yield* TestClock.adjust(100 * scale)
        assert.strictEqual(count, 2)
      })
    )

    effect(
      "arming for later moves the alarm",
      Effect.gen(function* () {
        const timers = yield* Timers
        const rang: Array<number> = []
        const timer = timers.make(() => rang.push(timers.now()))
        timer.arm(100 * scale)
        yield* TestClock.adjust(90 * scale)
        timer.arm(190 * scale)
        yield* TestClock.adjust(90 * scale)
        timer.arm(280 * scale)
        yield* TestClock.adjust(95 * scale)
        assert.deepStrictEqual(rang, [])
        yield* TestClock.adjust(20 * scale)
        assert.strictEqual(rang.length, 1)
        assert.isAtLeast(rang[0] ?? 0, 280 * scale)
      })
    )

    effect(
      "arming for earlier moves the alarm, also past others that wait",
      Effect.gen(function* () {
        const timers = yield* Timers
        const rang: Array<string> = []
        timers.make(() => rang.push("other")).arm(500 * scale)
        const timer = timers.make(() => rang.push("timer"))
        timer.arm(1_000 * scale)
        timer.arm(100 * scale)
        yield* TestClock.adjust(110 * scale)
        assert.deepStrictEqual(rang, ["timer"])
        yield* TestClock.adjust(2_000 * scale)
        assert.deepStrictEqual(rang, ["timer", "other"])
      })
    )

    effect(
      "a time that has passed rings soon, but not inside arm",
      Effect.gen(function* () {
        const timers = yield* Timers
        yield* TestClock.setTime(10_000)
        let count = 0
        timers.make(() => count++).arm(5)
        assert.strictEqual(count, 0)
        yield* TestClock.adjust(resolutionMs)
        assert.strictEqual(count, 1)
      })
    )

    effect(
      "Infinity and NaN disarm",
      Effect.gen(function* () {
        const timers = yield* Timers
        let count = 0
        const timer = timers.make(() => count++)
        for (const never of [Infinity, NaN]) {
          timer.arm(100)
          timer.arm(never)
        }
        yield* TestClock.adjust("1 day")
        assert.strictEqual(count, 0)
      })
    )

    effect(
      "a callback that throws spares the others, of its own tick too",
      Effect.gen(function* () {
        const timers = yield* Timers
        const rang: Array<number> = []
        for (let i = 0; i < 5; i++) {
          timers
            .make(() => {
              if (i % 2 === 1) throw new Error("boom")
              rang.push(i)
            })
            .arm(100 * scale)
        }
        timers.make(() => rang.push(99)).arm(200 * scale)
        yield* TestClock.adjust(300 * scale)
        assert.deepStrictEqual(
          rang.toSorted((a, b) => a - b),
          [0, 2, 4, 99]
        )
      })
    )

    effect(
      "a callback may arm and disarm any timer, itself and its neighbours too",
      Effect.gen(function* () {
        const timers = yield* Timers
        let ticks = 0
        let neighbours = 0
        const others = [0, 1, 2].map(() => timers.make(() => neighbours++))
        const self = timers.make(() => {
          ticks++
          for (const other of others) other.disarm()
          // In the past on purpose: must not ring in an endless loop.
          if (ticks < 3) self.arm(timers.now())
        })
        for (const other of others) other.arm(100 * scale)
        self.arm(100 * scale)
        yield* TestClock.adjust(1_000 * scale)
        assert.strictEqual(ticks, 3)
        // Those that came before `self` in the bucket may have rung.
        assert.isAtMost(neighbours, 3)
      })
    )

    it.effect.prop("any sequence of arm and disarm rings exactly the armed ones, in time", [Steps], ([steps]) =>
      Effect.provide(
        Effect.gen(function* () {
          const timers = yield* Timers
          const due = new Map<number, number>()
          const wrong: Array<string> = []
          const made = Array.from({ length: 4 }, (_, id) =>
            timers.make(() => {
              const at = due.get(id)
              if (at === undefined) wrong.push(`timer ${id} rang though it was not armed`)
              else if (timers.now() < at) wrong.push(`timer ${id} rang early`)
              due.delete(id)
            })
          )
          for (const { advance, armIn, id } of steps) {
            if (armIn === 0) {
              due.delete(id)
              made[id]?.disarm()
            } else {
              due.set(id, timers.now() + armIn)
              made[id]?.arm(timers.now() + armIn)
            }
            yield* TestClock.adjust(advance)
            for (const at of due.values()) assert.isAbove(at + resolutionMs, timers.now(), "a timer is overdue")
          }
          yield* TestClock.adjust(1_000)
          assert.strictEqual(due.size, 0)
          assert.deepStrictEqual(wrong, [])
        }),
        Layer.fresh(layer)
      )
    )
  })
}
