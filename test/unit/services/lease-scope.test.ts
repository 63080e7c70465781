import { assert, describe, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber, Scheduler, Scope } from "effect"
import * as LeaseScope from "../../../src/services/lease-scope.ts"

/** Run what a plain function of the module left to do. */
const done = (effect: Effect.Effect<void> | undefined) => effect ?? Effect.void

/** Names of what was given back, in order. */
const log = () => {
  const order: Array<string> = []
  const say = (name: string) => () => void order.push(name)
  return { order, say, later: (name: string) => () => Effect.andThen(Effect.yieldNow, Effect.sync(say(name))) }
}

/** A release that is broken. */
const throwing = () => {
  throw new Error("broken")
}

describe("LeaseScope", () => {
  it.effect("closes finalizers first, then releases, each last in first out", () =>
    Effect.gen(function* () {
      const { order, say } = log()
      const scope = LeaseScope.makeUnsafe()
      LeaseScope.hold(scope, { release: say("lease 1") })
      yield* Scope.addFinalizer(scope, Effect.sync(say("finalizer 1")))
      assert.isUndefined(LeaseScope.add(scope, say("release 2")))
      yield* Scope.addFinalizer(scope, Effect.sync(say("finalizer 2")))
      LeaseScope.hold(scope, say("release 3"))
      assert.deepStrictEqual(order, [])
      yield* done(LeaseScope.close(scope, Exit.void))
      assert.deepStrictEqual(order, ["finalizer 2", "finalizer 1", "release 3", "release 2", "lease 1"])
    })
  )

  it("closes in one step where nothing has to be waited for", () => {
    const { order, say } = log()
    const scope = LeaseScope.makeUnsafe()
    LeaseScope.hold(scope, { release: say("one") })
    LeaseScope.hold(scope, () => Exit.void)
    LeaseScope.hold(scope, say("two"))
    assert.isUndefined(LeaseScope.close(scope, Exit.void))
    assert.deepStrictEqual(order, ["two", "one"])
  })

  it.effect("waits for a release that takes time, before the next one", () =>
    Effect.gen(function* () {
      const { later, order, say } = log()
      const gate = yield* Deferred.make<void>()
      const scope = LeaseScope.makeUnsafe()
      LeaseScope.hold(scope, say("last"))
      LeaseScope.hold(scope, later("soon"))
      LeaseScope.hold(scope, () => Effect.andThen(Deferred.await(gate), Effect.sync(say("gated"))))
      LeaseScope.hold(scope, say("first"))
      const fiber = yield* Effect.forkChild(done(LeaseScope.close(scope, Exit.void)), { startImmediately: true })
      assert.deepStrictEqual(order, ["first"])
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(order, ["first", "gated", "soon", "last"])
    })
  )

  it.effect("tells finalizers and releases how the work ended", () =>
    Effect.gen(function* () {
      const seen: Array<unknown> = []
      const scope = LeaseScope.makeUnsafe()
      LeaseScope.hold(scope, (exit) => void seen.push(exit))
      yield* Scope.addFinalizerExit(scope, (exit) => Effect.sync(() => seen.push(exit)))
      const exit = Exit.fail("x")
      yield* done(LeaseScope.close(scope, exit))
      assert.deepStrictEqual(seen, [exit, exit])
    })
  )

  it.effect("closing twice gives back once", () =>
    Effect.gen(function* () {
      const { later, order, say } = log()
      const scope = LeaseScope.makeUnsafe()
      LeaseScope.hold(scope, say("lease"))
      LeaseScope.hold(scope, later("later"))
      yield* Scope.addFinalizer(scope, Effect.sync(say("finalizer")))
      yield* done(LeaseScope.close(scope, Exit.void))
      assert.isUndefined(LeaseScope.close(scope, Exit.void))
      assert.deepStrictEqual(order, ["finalizer", "later", "lease"])
    })
  )

  it.effect("what is added to a closed scope is given back at once, with the exit it was closed with", () =>
    Effect.gen(function* () {
      const seen: Array<unknown> = []
      const scope = LeaseScope.makeUnsafe()
      const exit = Exit.fail("x")
      yield* done(LeaseScope.close(scope, exit))
      assert.isUndefined(LeaseScope.add(scope, (given) => void seen.push(given)))
      assert.deepStrictEqual(seen, [exit])
      const slow = LeaseScope.add(scope, () => Effect.sync(() => seen.push("slow")))
      assert.isDefined(slow)
      yield* done(slow)
      yield* Scope.addFinalizer(
        scope,
        Effect.sync(() => seen.push("finalizer"))
      )
      assert.deepStrictEqual(seen, [exit, "slow", "finalizer"])
    })
  )

  it.effect("a finalizer that fails does not keep the leases, and is told", () =>
    Effect.gen(function* () {
      const { order, say } = log()
      const scope = LeaseScope.makeUnsafe()
      LeaseScope.hold(scope, say("lease"))
      yield* Scope.addFinalizer(scope, Effect.die("broken"))
      const exit = yield* Effect.exit(done(LeaseScope.close(scope, Exit.void)))
      assert.deepStrictEqual(order, ["lease"])
      assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
    })
  )

  it.effect("a release whose effect dies does not keep the others, and is told", () =>
    Effect.gen(function* () {
      const { later, order, say } = log()
      const scope = LeaseScope.makeUnsafe()
      LeaseScope.hold(scope, say("first"))
      LeaseScope.hold(scope, later("second"))
      LeaseScope.hold(scope, () => Effect.andThen(Effect.yieldNow, Effect.die("broken")))
      const exit = yield* Effect.exit(done(LeaseScope.close(scope, Exit.void)))
      assert.deepStrictEqual(order, ["second", "first"])
      assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
    })
  )

  it.effect("a release that throws does not keep the others, and is told", () =>
    Effect.gen(function* () {
      const { order, say } = log()
      const exit = yield* Effect.exit(
        LeaseScope.scoped(
          Effect.flatMap(Effect.scope, (scope) =>
            Effect.gen(function* () {
              yield* done(LeaseScope.add(scope, say("first")))
              yield* done(LeaseScope.add(scope, throwing))
              yield* done(LeaseScope.add(scope, say("last")))
            })
          )
        )
      )
      assert.deepStrictEqual(order, ["last", "first"])
      assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
    })
  )

  it.effect("scoped gives back on success, failure and interruption, wherever it lands", () =>
    Effect.gen(function* () {
      let open = 0
      const take = Effect.uninterruptible(
        Effect.flatMap(Effect.scope, (scope) => {
          open++
          return done(LeaseScope.add(scope, () => void open--))
        })
      )
      assert.strictEqual(
        yield* LeaseScope.scoped(
          Effect.andThen(
            take,
            Effect.sync(() => open)
          )
        ),
        1
      )
      assert.strictEqual(open, 0)
      assert.deepStrictEqual(
        yield* Effect.exit(LeaseScope.scoped(Effect.andThen(take, Effect.fail("x")))),
        Exit.fail("x")
      )
      assert.strictEqual(open, 0)
      for (let ops = 3; ops <= 64; ops++) {
        for (let turns = 0; turns < 4; turns++) {
          const fiber = yield* LeaseScope.scoped(Effect.andThen(take, Effect.andThen(take, Effect.never))).pipe(
            Effect.provideService(Scheduler.MaxOpsBeforeYield, ops),
            Effect.forkChild
          )
          for (let i = 0; i < turns; i++) yield* Effect.yieldNow
          yield* Fiber.interrupt(fiber)
          assert.strictEqual(open, 0)
        }
      }
    })
  )
})

/** Where a request's scope may stand: inside another request's, or in a scope of whoever embeds `complete`. */
const parents = [
  {
    name: "a lease scope",
    make: Effect.sync(() => {
      const parent = LeaseScope.makeUnsafe()
      return { parent, close: (exit: Exit.Exit<unknown, unknown>) => done(LeaseScope.close(parent, exit)) }
    })
  },
  {
    name: "an ordinary scope",
    make: Effect.map(Scope.make(), (parent) => ({
      parent,
      close: (exit: Exit.Exit<unknown, unknown>) => Scope.close(parent, exit)
    }))
  }
]

for (const { make, name } of parents) {
  describe(`LeaseScope.leave, in ${name}`, () => {
    it.effect("a failure gives back at once, and the parent has nothing left to do", () =>
      Effect.gen(function* () {
        const { order, say } = log()
        const { close, parent } = yield* make
        const scope = LeaseScope.makeUnsafe()
        LeaseScope.hold(scope, say("lease"))
        yield* Scope.addFinalizer(scope, Effect.sync(say("finalizer")))
        yield* done(LeaseScope.leave(scope, parent, Exit.fail("x")))
        assert.deepStrictEqual(order, ["finalizer", "lease"])
        yield* close(Exit.void)
        assert.deepStrictEqual(order, ["finalizer", "lease"])
      })
    )

    it.effect("a success keeps everything until the parent closes, and passes its exit on", () =>
      Effect.gen(function* () {
        const { later, order, say } = log()
        const exits: Array<unknown> = []
        const { close, parent } = yield* make
        const scope = LeaseScope.makeUnsafe()
        LeaseScope.hold(scope, (exit) => void exits.push(exit))
        LeaseScope.hold(scope, later("lease"))
        yield* Scope.addFinalizer(scope, Effect.sync(say("finalizer")))
        yield* done(LeaseScope.leave(scope, parent, Exit.void))
        assert.deepStrictEqual(order, [])
        const exit = Exit.fail("parent")
        yield* close(exit)
        assert.deepStrictEqual(order, ["finalizer", "lease"])
        assert.deepStrictEqual(exits, [exit])
      })
    )

    it.effect("a success in a parent that is closed already gives back at once", () =>
      Effect.gen(function* () {
        const { order, say } = log()
        const { close, parent } = yield* make
        yield* close(Exit.void)
        const scope = LeaseScope.makeUnsafe()
        LeaseScope.hold(scope, say("lease"))
        yield* done(LeaseScope.leave(scope, parent, Exit.void))
        assert.deepStrictEqual(order, ["lease"])
      })
    )
  })
}
