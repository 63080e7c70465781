import { assert, describe, it } from "@effect/vitest"
import { Cause, Clock, Deferred, Effect, Exit, Fiber, Scheduler, Stream } from "effect"
import * as fc from "fast-check"
import * as Wheel from "../../../../src/layers/timers/wheel.ts"
import * as VirtualTime from "../../../../src/programs/simulate/virtual-time.ts"

const defectOf = (exit: Exit.Exit<unknown, unknown>): unknown =>
  Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined

const stoppedBy = (exit: Exit.Exit<unknown, unknown>): string => {
  const defect = defectOf(exit)
  assert.instanceOf(defect, VirtualTime.VirtualTimeError)
  return defect.reason
}

describe("virtual time", () => {
  it("passes hours in one synchronous call, from 0", () => {
    const exit = VirtualTime.run(
      Effect.gen(function* () {
        const from = yield* Clock.currentTimeMillis
        yield* Effect.sleep("3 hours")
        return [from, yield* Clock.currentTimeMillis]
      })
    )
    assert.deepStrictEqual(exit, Exit.succeed([0, 10_800_000]))
  })

  it("gives failures and defects as they are", () => {
    assert.deepStrictEqual(VirtualTime.run(Effect.andThen(Effect.sleep(5), Effect.fail("no"))), Exit.fail("no"))
    assert.strictEqual(defectOf(VirtualTime.run(Effect.die("bug"))), "bug")
    assert.throws(() => VirtualTime.runOrThrow(Effect.die(new Error("bug"))), "bug")
  })

  it("wakes sleepers by their time, and those of one moment as they lay down", () => {
    const log: Array<string> = []
    const sleeper = (name: string, ms: number) =>
      Effect.andThen(
        Effect.sleep(ms),
        Effect.sync(() => log.push(name))
      )
    VirtualTime.runOrThrow(
      Effect.all([sleeper("c", 30), sleeper("a1", 10), sleeper("b", 20), sleeper("a2", 10), sleeper("a3", 10)], {
        concurrency: "unbounded"
      })
    )
    assert.deepStrictEqual(log, ["a1", "a2", "a3", "b", "c"])
  })

  it("moves on only when nobody has anything left to do", () => {
    let turns = 0
    const times = VirtualTime.runOrThrow(
      Effect.gen(function* () {
        const busy = yield* Effect.forkChild(
          Effect.gen(function* () {
            for (; turns < 10_000; turns++) yield* Effect.yieldNow
            return yield* Clock.currentTimeMillis
          })
        )
        yield* Effect.sleep(0.001)
        return [turns, yield* Fiber.join(busy)]
      })
    )
    assert.deepStrictEqual(times, [10_000, 0])
  })

  it("runs tasks of a lower priority number first", () => {
    const log: Array<number> = []
    const task = (priority: number) =>
      Effect.andThen(
        Effect.yieldNowWith(priority),
        Effect.sync(() => log.push(priority))
      )
    VirtualTime.runOrThrow(Effect.all([task(5), task(1), task(3), task(1)], { concurrency: "unbounded" }))
    assert.deepStrictEqual(log, [1, 1, 3, 5])
  })

  it("keeps fibers apart from the effect that forked them: daemons, their children, and the wheel", () => {
    const log: Array<string> = []
    const note = (what: string) => Effect.map(Clock.currentTimeMillis, (at) => log.push(`${what} ${at}`))
    VirtualTime.runOrThrow(
      Effect.scoped(
        Effect.gen(function* () {
          const child = Effect.andThen(Effect.sleep(15), note("grandchild"))
          const daemon = Effect.andThen(Effect.sleep(5), Effect.andThen(Effect.forkDetach(child), note("daemon")))
          yield* Effect.forkDetach(daemon)
          const timers = yield* Wheel.make()
          timers.make(() => log.push(`ring ${timers.now()}`)).arm(12)
          yield* Effect.sleep(100)
          yield* note("main")
        })
      )
    )
    assert.deepStrictEqual(log, ["daemon 5", "ring 20", "grandchild 20", "main 100"])
  })

  it("forgets a sleeper that was interrupted: its time does not come", () => {
    const ended = VirtualTime.runOrThrow(
      Effect.gen(function* () {
        const fiber = yield* Effect.forkChild(Effect.sleep("1 day"), { startImmediately: true })
        yield* Effect.sleep(10)
        yield* Fiber.interrupt(fiber)
        const cut = yield* Effect.timeoutOption(Effect.never, 25)
        return [cut._tag, yield* Clock.currentTimeMillis]
      })
    )
    assert.deepStrictEqual(ended, ["None", 35])
  })

  it("runs streams, deferreds and finalizers", () => {
    const log: Array<string> = []
    const total = VirtualTime.runOrThrow(
      Effect.scoped(
        Effect.gen(function* () {
          yield* Effect.addFinalizer(() =>
            Effect.andThen(
              Effect.sleep(7),
              Effect.sync(() => log.push("closed"))
            )
          )
          const gate = yield* Deferred.make<number>()
          yield* Effect.forkChild(Effect.delay(Deferred.succeed(gate, 1), 40))
          const ticks = yield* Stream.runCollect(Stream.take(Stream.tick(10), 3))
          return ticks.length + (yield* Deferred.await(gate))
        })
      )
    )
    assert.strictEqual(total, 4)
    assert.deepStrictEqual(log, ["closed"])
  })

  it("never loses the rest of a wait, however odd the times are", () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 1e-6, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 20 }),
        fc.integer({ min: 1, max: 50 }),
        (pauses, resolutionMs) => {
          const late = VirtualTime.runOrThrow(
            Effect.scoped(
              Effect.gen(function* () {
                const timers = yield* Wheel.make({ resolutionMs })
                let worst = 0
                for (const pause of pauses) {
                  yield* Effect.sleep(pause)
                  const at = timers.now() + pause
                  yield* Effect.callback<void>((resume) => timers.make(() => resume(Effect.void)).arm(at))
                  worst = Math.max(worst, timers.now() - at)
                }
                return worst
              })
            ),
            { maxTasks: 10_000 }
          )
          assert.isAtLeast(late, 0)
          assert.isAtMost(late, resolutionMs + 0.01)
        }
      ),
      { numRuns: 60 }
    )
  })

  it("does the same each time, whatever the fibers do", () => {
    const act = fc.record({
      sleep: fc.integer({ min: 0, max: 20 }),
      turns: fc.integer({ min: 0, max: 3 }),
      kill: fc.boolean()
    })
    fc.assert(
      fc.property(fc.array(fc.array(act, { maxLength: 6 }), { maxLength: 8 }), (plans) => {
        const once = () => {
          const log: Array<string> = []
          const fiber = (plan: (typeof plans)[number], name: number): Effect.Effect<void> =>
            Effect.gen(function* () {
              for (const [step, { kill, sleep, turns }] of plan.entries()) {
                for (let turn = 0; turn < turns; turn++) yield* Effect.yieldNow
                const child = yield* Effect.forkChild(
                  Effect.onInterrupt(Effect.sleep(sleep * 2), () => Effect.sync(() => log.push(`cut ${name}.${step}`)))
                )
                yield* Effect.sleep(sleep)
                if (kill) yield* Fiber.interrupt(child)
                log.push(`${name}.${step} at ${yield* Clock.currentTimeMillis}`)
              }
            })
          VirtualTime.runOrThrow(Effect.all(plans.map(fiber), { concurrency: "unbounded" }))
          return log
        }
        const first = once()
        const times = first.filter((line) => line.includes("at")).map((line) => Number(line.split(" ").at(-1)))
        assert.deepStrictEqual(
          times,
          times.toSorted((a, b) => a - b)
        )
        assert.deepStrictEqual(once(), first)
      }),
      { numRuns: 60 }
    )
  })

  it("yields by the operations of a fiber as the shipped scheduler does", () => {
    const log: Array<string> = []
    const counting = (name: string) =>
      Effect.gen(function* () {
        for (let step = 0; step < 40; step++) yield* Effect.sync(() => log.push(name))
      })
    VirtualTime.runOrThrow(
      Effect.provideService(
        Effect.all([counting("a"), counting("b")], { concurrency: "unbounded" }),
        Scheduler.MaxOpsBeforeYield,
        16
      )
    )
    assert.isBelow(log.indexOf("b"), log.lastIndexOf("a"))
  })

  it("says so when a run can never end", () => {
    assert.strictEqual(stoppedBy(VirtualTime.run(Effect.never)), "Deadlock")
    const outside = VirtualTime.run(Effect.promise(() => Promise.resolve(1)))
    assert.strictEqual(stoppedBy(outside), "Deadlock")
    assert.match(String(defectOf(outside)), /outside of virtual time/)
  })

  it("stops a run that goes on without end, and one in which time stands still", () => {
    const ticking = Effect.forever(Effect.sleep("1 minute"))
    assert.strictEqual(stoppedBy(VirtualTime.run(ticking, { untilMs: 3_600_000 })), "Endless")
    assert.strictEqual(stoppedBy(VirtualTime.run(Effect.forever(Effect.yieldNow), { maxTasks: 1_000 })), "Busy")
    // The shortest of sleeps still lets time pass.
    assert.strictEqual(
      stoppedBy(VirtualTime.run(Effect.forever(Effect.sleep("1 nanos")), { untilMs: 1, maxTasks: 100 })),
      "Endless"
    )
  })
})
