import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Scheduler, Scope, Stream } from "effect"
import * as Guard from "../../../src/services/guard.ts"

/** A guard that counts its open leases. */
const counting = () => {
  const state = { open: 0, taken: 0 }
  const acquire = Effect.uninterruptible(
    Effect.withFiber<number, never, Scope.Scope>((fiber) => {
      state.open++
      return Guard.held(fiber, ++state.taken, () => Effect.sync(() => void state.open--))
    })
  )
  return { state, acquire }
}

describe("Guard.protect", () => {
  it.effect("holds the lease while the effect runs, and gives it back however it ends", () =>
    Effect.gen(function* () {
      const { acquire, state } = counting()
      const inside = Effect.sync(() => state.open)
      assert.strictEqual(yield* Guard.protect(acquire)(inside), 1)
      assert.strictEqual(state.open, 0)
      yield* Effect.exit(Guard.protect(acquire)(Effect.fail("x")))
      yield* Effect.exit(Guard.protect(acquire)(Effect.die("x")))
      assert.strictEqual(state.open, 0)
      assert.strictEqual(state.taken, 3)
    })
  )

  it.effect("a refused acquisition starts nothing", () =>
    Effect.gen(function* () {
      let started = false
      const error = yield* Effect.flip(Guard.protect(Effect.fail("full"))(Effect.sync(() => (started = true))))
      assert.strictEqual(error, "full")
      assert.isFalse(started)
    })
  )

  it.effect("leaves the effect's own resources to the effect's own scope", () =>
    Effect.gen(function* () {
      const { acquire, state } = counting()
      let released = false
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* Guard.protect(acquire)(Effect.addFinalizer(() => Effect.sync(() => (released = true))))
          assert.strictEqual(state.open, 0)
          assert.isFalse(released)
        })
      )
      assert.isTrue(released)
    })
  )

  it.effect("leaks nothing wherever an interruption lands", () =>
    Effect.gen(function* () {
      const { acquire, state } = counting()
      for (let ops = 3; ops <= 64; ops++) {
        for (let turns = 0; turns < 4; turns++) {
          const fiber = yield* Guard.protect(acquire)(Effect.never).pipe(
            Effect.provideService(Scheduler.MaxOpsBeforeYield, ops),
            Effect.forkChild
          )
          for (let i = 0; i < turns; i++) yield* Effect.yieldNow
          yield* Fiber.interrupt(fiber)
          assert.strictEqual(state.open, 0)
        }
      }
    })
  )
})

describe("Guard.protectStream", () => {
  it.effect("holds the lease from the first pull to the end", () =>
    Effect.gen(function* () {
      const { acquire, state } = counting()
      const stream = Guard.protectStream(acquire)(Stream.fromEffectRepeat(Effect.sync(() => state.open)))
      assert.strictEqual(state.open, 0)
      assert.deepStrictEqual(yield* Stream.runCollect(Stream.take(stream, 3)), [1, 1, 1])
      assert.strictEqual(state.open, 0)
    })
  )

  it.effect("gives it back on failure and when the consumer is interrupted", () =>
    Effect.gen(function* () {
      const { acquire, state } = counting()
      const failing = Stream.concat(Stream.make(1), Stream.fail("cut"))
      assert.deepStrictEqual(
        yield* Effect.exit(Stream.runDrain(Guard.protectStream(acquire)(failing))),
        Exit.fail("cut")
      )
      assert.strictEqual(state.open, 0)

      const begun = yield* Deferred.make<void>()
      const endless = Stream.concat(Stream.fromEffect(Deferred.succeed(begun, undefined)), Stream.never)
      const fiber = yield* Effect.forkChild(Stream.runDrain(Guard.protectStream(acquire)(endless)))
      yield* Deferred.await(begun)
      assert.strictEqual(state.open, 1)
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(state.open, 0)
    })
  )
})

describe("Guard.held", () => {
  it.effect("gives back at once when the scope is already closed", () =>
    Effect.gen(function* () {
      const { acquire, state } = counting()
      const scope = yield* Scope.make()
      yield* Scope.close(scope, Exit.void)
      yield* Scope.provide(acquire, scope)
      assert.strictEqual(state.open, 0)
    })
  )
})
