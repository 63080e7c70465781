/** One request from begin to end: its record, its deadline, its scope. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Random, Scope } from "effect"
import { TestClock } from "effect/testing"
import * as Caller from "../../../src/domain/caller.ts"
import { ProviderError, RateLimitError } from "../../../src/domain/errors.ts"
import * as Request from "../../../src/programs/request.ts"
import { CurrentCaller } from "../../../src/services/caller.ts"
import { Deadline } from "../../../src/services/deadline.ts"
import * as LeaseScope from "../../../src/services/lease-scope.ts"
import { CurrentTimeouts } from "../../../src/services/policy.ts"
import * as RequestRecord from "../../../src/services/request-record.ts"
import type { TraceContext } from "../../../src/services/request-record.ts"
import { balanced, configOf, make } from "../../support/scripted-ballast.ts"

const busy = new ProviderError({ provider: "one", reason: { _tag: "Overloaded", detail: "x" } })

/** Run a body in a scope that closes with it. */
const running = <A>(body: Parameters<typeof Request.run<A>>[1]) => Effect.scoped(Request.run("chat", body))

describe("Request.run", () => {
  it.effect("makes a record of who asks, until when, and begins and ends it once", () => {
    const { layer, world } = make({})
    return Effect.gen(function* () {
      const caller = Caller.make("acme", { user: "ann" })
      yield* TestClock.adjust(1_000)
      const seen = yield* Effect.provideService(
        running((request) => Effect.succeed(request)),
        CurrentCaller,
        caller
      )
      assert.strictEqual(seen.record.caller, caller)
      assert.strictEqual(seen.record.operation, "chat")
      assert.strictEqual(seen.record.startedAt, 1_000)
      assert.deepStrictEqual(seen.deadline, { atMs: 9_000, budgetMs: 8_000 })
      assert.strictEqual(seen.record.deadline, seen.deadline)
      assert.deepStrictEqual(world.begun, [seen.record])
      assert.deepStrictEqual(world.ended, [seen.record])
    }).pipe(Effect.provide(layer))
  })

  it.effect("takes over the record of whoever owns the request's id", () => {
    const { layer, world } = make({})
    return Effect.gen(function* () {
      const record = RequestRecord.make({ id: "req-7", operation: "chat", caller: Caller.anonymous, startedAt: 0 })
      const work = running((request) => Effect.succeed(request.record))
      assert.strictEqual(yield* Effect.provideService(work, RequestRecord.CurrentRecord, record), record)
      assert.deepStrictEqual(world.ended, [record])
    }).pipe(Effect.provide(layer))
  })

  it.effect("a scope may be closed with anybody's failure, whatever it looks like", () => {
    const { layer, world } = make({})
    const foreign = [{ _tag: "Mine", reason: { _tag: "Own" } }, { _tag: "Mine", reason: undefined }, "text"]
    return Effect.gen(function* () {
      for (const error of foreign) {
        yield* Effect.exit(
          Effect.scoped(
            Effect.andThen(
              Request.run("chat", () => Effect.void),
              Effect.fail(error)
            )
          )
        )
      }
      assert.deepStrictEqual(
        world.ended.map(({ outcome, rung }) => [outcome, rung]),
        foreign.map(() => ["defect", "full"])
      )
      yield* balanced(world)
    }).pipe(Effect.provide(layer))
  })

  it.effect("hands its record to everything below", () => {
    const { layer, world } = make({})
    return Effect.gen(function* () {
      const below = yield* running(() => Effect.service(RequestRecord.CurrentRecord))
      assert.strictEqual(below, world.begun[0])
    }).pipe(Effect.provide(layer))
  })

  const deadlines = [
    { name: "critical", critical: true, outer: undefined, budgetMs: 8_000 },
    { name: "not critical", critical: false, outer: undefined, budgetMs: 1_500 },
    { name: "with an earlier deadline around it", critical: true, outer: 300, budgetMs: 300 },
    { name: "with a later deadline around it", critical: false, outer: 5_000, budgetMs: 1_500 }
  ]
  for (const { budgetMs, critical, name, outer } of deadlines) {
    it.effect(`a request that is ${name} has ${budgetMs} ms`, () => {
      const { layer } = make({})
      return running(({ deadline }) => Effect.succeed(deadline)).pipe(
        Effect.provideService(CurrentCaller, Caller.make("acme", { critical })),
        outer === undefined ? (self) => self : Effect.provideService(Deadline, { atMs: outer, budgetMs: outer }),
        Effect.map((deadline) => assert.deepStrictEqual(deadline, { atMs: budgetMs, budgetMs })),
        Effect.provide(layer)
      )
    })
  }

  it.effect("a hard limit below the non-critical one holds for both, and can be set for one request", () => {
    const { layer } = make({}, configOf({ timeouts: { hardMs: 900, nonCriticalMs: 900, firstTokenMs: 900 } }))
    return Effect.gen(function* () {
      const budget = running(({ deadline }) => Effect.succeed(deadline.budgetMs))
      const lenient = Effect.provideService(budget, CurrentCaller, Caller.make("acme", { critical: false }))
      assert.deepStrictEqual([yield* budget, yield* lenient], [900, 900])
      const timeouts = yield* CurrentTimeouts
      assert.strictEqual(yield* Effect.provideService(budget, CurrentTimeouts, { ...timeouts, hardMs: 50 }), 50)
    }).pipe(Effect.provide(layer))
  })

  it.effect("keeps what a success holds until the caller's scope closes; releases come before the record's end", () => {
    const { layer, world } = make({})
    return Effect.gen(function* () {
      const order: Array<string> = []
      const scope = yield* Scope.make()
      const work = Request.run("chat", (request) => {
        LeaseScope.hold(request.scope, () => void order.push(`released, ${world.ended.length} ended`))
        return Effect.void
      })
      yield* Scope.provide(work, scope)
      assert.deepStrictEqual(order, [])
      yield* TestClock.adjust(500)
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(order, ["released, 0 ended"])
      assert.strictEqual(world.ended[0]?.endedAt, 500)
      assert.strictEqual(world.ended[0]?.outcome, "cancelled")
    }).pipe(Effect.provide(layer))
  })

  it.effect("gives back at once what a failure, a defect or an interruption holds", () => {
    const { layer, world } = make({})
    return Effect.gen(function* () {
      let held = 0
      const scope = yield* Scope.make()
      const ending = (end: Effect.Effect<never, ProviderError>) =>
        Request.run("chat", (request) => {
          held++
          LeaseScope.hold(request.scope, () => void held--)
          return request.restore(end)
        }).pipe(Scope.provide(scope))
      yield* Effect.exit(ending(Effect.fail(busy)))
      assert.strictEqual(held, 0)
      yield* Effect.exit(ending(Effect.die("a bug")))
      assert.strictEqual(held, 0)
      const fiber = yield* Effect.forkChild(ending(Effect.never), { startImmediately: true })
      assert.strictEqual(held, 1)
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(held, 0)
      assert.deepStrictEqual(
        world.ended.map(({ outcome }) => outcome),
        ["ProviderError.Overloaded", "defect", "cancelled"]
      )
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(world.ended.length, 3)
      yield* balanced(world)
    }).pipe(Effect.provide(layer))
  })

  it.effect("in a scope that is closed already it ends at once", () => {
    const { layer, world } = make({})
    return Effect.gen(function* () {
      const scope = yield* Scope.make()
      yield* Scope.close(scope, Exit.void)
      yield* Scope.provide(
        Request.run("chat", () => Effect.void),
        scope
      )
      assert.strictEqual(world.ended.length, 1)
    }).pipe(Effect.provide(layer))
  })
})

describe("Request.outcomeOf", () => {
  it("is the error's key, else cancelled, else a defect", () => {
    const limited = new RateLimitError({
      reason: { _tag: "NeverFits", dimension: "user", unit: "tokens", limit: 1, asked: 2 }
    })
    assert.strictEqual(Request.outcomeOf(Cause.fail(busy)), "ProviderError.Overloaded")
    assert.strictEqual(Request.outcomeOf(Cause.fail(limited)), "RateLimitError.NeverFits")
    assert.strictEqual(Request.outcomeOf(Cause.interrupt(1)), "cancelled")
    assert.strictEqual(Request.outcomeOf(Cause.die("x")), "defect")
    assert.strictEqual(
      Request.outcomeOf(Cause.combine(Cause.fail(busy), Cause.interrupt(1))),
      "ProviderError.Overloaded"
    )
  })

  it("is a defect for an error that is not ours", () => {
    for (const foreign of ["text", null, undefined, 1, {}, new Error("x"), { _tag: "X" }, { reason: "y" }]) {
      assert.strictEqual(Request.outcomeOf(Cause.fail(foreign)), "defect")
    }
  })
})

describe("Request.newId", () => {
  it.effect("is req_ and 84 random bits, whatever they are", () =>
    Effect.gen(function* () {
      const real = yield* Random.Random
      const ids = new Set(Array.from({ length: 1_000 }, () => Request.newId(real)))
      assert.strictEqual(ids.size, 1_000)
      for (const extreme of [0, 0.5, 1 - Number.EPSILON]) {
        ids.add(Request.newId({ ...real, nextDoubleUnsafe: () => extreme }))
      }
      // Three times a leading one and seven digits: of one length, fit for a header and a log.
      for (const id of ids) assert.match(id, /^req_(1[0-9a-f]{7}){3}$/)
    })
  )
})

const traceparentOf = (trace: TraceContext | undefined) =>
  Request.traceparent(RequestRecord.make({ id: "r", operation: "chat", caller: Caller.anonymous, startedAt: 0, trace }))

describe("Request.traceparent", () => {
  it("is the W3C header of the record's context, where it has one", () => {
    const sampled: TraceContext = {
      traceId: "0af7651916cd43dd8448eb211c80319c",
      spanId: "b7ad6b7169203331",
      sampled: true,
      incoming: true
    }
    assert.strictEqual(traceparentOf(sampled), "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    assert.strictEqual(
      traceparentOf({ ...sampled, sampled: false }),
      "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
    )
    assert.isUndefined(traceparentOf(undefined))
  })
})
