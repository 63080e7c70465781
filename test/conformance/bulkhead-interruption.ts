/** Interruption at every moment, and any order of events: no place, and no place in the queue, is lost or given twice. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Scheduler } from "effect"
import { TestClock } from "effect/testing"
import * as fc from "fast-check"
import type { Plan, Priority } from "../../src/domain/caller.ts"
import { Bulkhead } from "../../src/services/bulkhead.ts"
import * as Deadline from "../../src/services/deadline.ts"
import { enter } from "../support/raw-entry.ts"
import { ask, line, occupy, on, policyOf, stateOf, turns } from "./bulkhead-kit.ts"
import type { Held, Suite } from "./bulkhead-kit.ts"

const idle = (limit: number) => ({ limit, inFlight: 0, queued: 0 })

/** Turns until so many wait. */
const joined = (queued: number) =>
  Effect.gen(function* () {
    while ((yield* stateOf()).queued < queued) yield* Effect.yieldNow
  })

/** All ways of the scheduler to cut a fiber into turns that matter. */
const schedules = Array.from({ length: 62 }, (_, index) => index + 3)

const cut =
  (ops: number) =>
  <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.provideService(self, Scheduler.MaxOpsBeforeYield, ops)

export const suite: Suite = (name, layer) => {
  const effect = on(layer)

  describe(`Bulkhead, interruption: ${name}`, () => {
    effect(
      "interruption frees the place in the queue at once",
      Effect.gen(function* () {
        yield* occupy()
        yield* occupy()
        const waiters = yield* Effect.forEach([1, 2, 3], () => Effect.forkChild(occupy()))
        yield* turns(1)
        yield* Fiber.interruptAll(waiters)
        assert.deepStrictEqual(yield* stateOf(), { limit: 2, inFlight: 2, queued: 0 })
      })
    )

    effect(
      "a wait on the raw way in is interruptible through restore, and leaves nothing behind",
      Effect.gen(function* () {
        const bulkhead = yield* Bulkhead
        const held = yield* occupy()
        for (const ops of schedules) {
          // Inside an uninterruptible region `restore` restores that: this one has to wait.
          const waiter = yield* Effect.forkChild(cut(ops)(Effect.uninterruptible(enter(bulkhead.acquireUnsafe(ask())))))
          const free = yield* Effect.forkChild(cut(ops)(enter(bulkhead.acquireUnsafe(ask()))))
          yield* turns(4)
          assert.strictEqual((yield* stateOf()).queued, 2)
          waiter.interruptUnsafe()
          yield* Fiber.interrupt(free)
          assert.isUndefined(waiter.pollUnsafe())
          assert.deepStrictEqual(yield* stateOf(), { limit: 1, inFlight: 1, queued: 1 })
          yield* TestClock.adjust(1_010)
          assert.isTrue(Exit.isFailure(yield* Fiber.await(waiter)))
          assert.deepStrictEqual(yield* stateOf(), { limit: 1, inFlight: 1, queued: 0 })
        }
        yield* held.release
        assert.deepStrictEqual(yield* stateOf(), idle(1))
      }),
      policyOf({ maxInFlight: 1 })
    )

    effect(
      "a waiter that is interrupted as it is given a place hands it on",
      Effect.gen(function* () {
        const bulkhead = yield* Bulkhead
        let awake = 0
        let asleep = 0
        for (const ops of schedules) {
          for (let wait = 0; wait < 5; wait++) {
            const held = yield* occupy()
            let got = false
            const stay = Effect.andThen(
              Effect.sync(() => (got = true)),
              Effect.never
            )
            const chosen = yield* Effect.forkChild(
              cut(ops)(Effect.scoped(Effect.flatMap(bulkhead.acquire(ask()), () => stay)))
            )
            yield* joined(1)
            const next = yield* line()
            assert.strictEqual((yield* stateOf()).queued, 2)
            yield* held.release
            yield* turns(wait)
            yield* Fiber.interrupt(chosen)
            if (got) awake++
            else asleep++
            yield* (yield* Fiber.join(next)).release
            assert.deepStrictEqual(yield* stateOf(), idle(1))
          }
        }
        assert.isAbove(awake, 0)
        assert.isAbove(asleep, 0)
      }),
      policyOf({ maxInFlight: 1 })
    )

    effect(
      "a waiter that is interrupted as it is put out of a full queue ends once",
      Effect.gen(function* () {
        for (const ops of schedules) {
          for (let wait = 0; wait < 4; wait++) {
            const held = yield* occupy(ask({ tenant: "busy" }))
            const first = yield* line(ask({ tenant: "whale" }))
            const victim = yield* Effect.forkChild(cut(ops)(occupy(ask({ tenant: "whale" }))))
            yield* joined(2)
            const small = yield* line(ask({ tenant: "small" }))
            assert.deepStrictEqual(yield* stateOf(), { limit: 1, inFlight: 1, queued: 2 })
            yield* turns(wait)
            yield* Fiber.interrupt(victim)
            assert.deepStrictEqual(yield* stateOf(), { limit: 1, inFlight: 1, queued: 2 })
            yield* held.release
            for (const fiber of [first, small]) yield* (yield* Fiber.join(fiber)).release
            assert.deepStrictEqual(yield* stateOf(), idle(1))
          }
        }
      }),
      policyOf({ maxInFlight: 1, maxQueue: 2 })
    )

    effect(
      "a long chain of hand-overs does not grow the stack",
      Effect.gen(function* () {
        const held = yield* occupy()
        const work = Effect.scoped(Effect.asVoid(Effect.flatMap(Bulkhead, (bulkhead) => bulkhead.acquire(ask()))))
        const all = yield* Effect.forkChild(
          Effect.all(
            Array.from({ length: 20_000 }, () => work),
            { concurrency: "unbounded", discard: true }
          )
        )
        yield* turns(1)
        yield* held.release
        yield* Fiber.join(all)
        assert.deepStrictEqual(yield* stateOf(), idle(1))
      }),
      policyOf({ maxInFlight: 1, maxQueue: 20_000 })
    )

    effect(
      "no permit is lost or doubled wherever interruptions land",
      Effect.gen(function* () {
        const bulkhead = yield* Bulkhead
        let running = 0
        const work = (tenant: string, priority: Priority) =>
          Effect.scoped(
            Effect.gen(function* () {
              yield* bulkhead.acquire(ask({ tenant, priority }))
              yield* Effect.acquireRelease(
                Effect.sync(() => running++),
                () => Effect.sync(() => running--)
              )
              assert.isAtMost(running, 2, "more in flight than the limit")
              yield* turns(2)
            })
          )
        const claims = [
          work("a", "critical"),
          work("a", "standard"),
          work("b", "critical"),
          work("a", "background"),
          work("c", "critical")
        ]
        for (const ops of schedules) {
          for (let wait = 0; wait < 7; wait++) {
            const fibers = yield* Effect.forEach(claims, (claim) => Effect.forkChild(cut(ops)(claim)))
            yield* turns(wait)
            // The holders and one of the waiters; the others must get the places.
            for (const index of [0, 1, 3]) fibers[index]?.interruptUnsafe()
            const exits = yield* Fiber.awaitAll(fibers)
            assert.isTrue(
              [2, 4].every((index) => Exit.isSuccess(exits[index] ?? Exit.void)),
              `a waiter was lost at ${ops} / ${wait}`
            )
            assert.deepStrictEqual(yield* stateOf(), idle(2))
          }
        }
      })
    )

    it.effect("any order of events keeps the limits, and every claim ends once", () =>
      Effect.promise(() =>
        fc.assert(
          fc.asyncProperty(fc.array(move, { maxLength: 60 }), (moves) =>
            Effect.runPromise(
              Effect.provide(play(moves), Layer.provideMerge(Layer.fresh(layer(policyOf({}))), TestClock.layer()))
            )
          ),
          { numRuns: 150 }
        )
      )
    )
  })
}

type Move = typeof move extends fc.Arbitrary<infer A> ? A : never

const move = fc.record({
  kind: fc.constantFrom("arrive", "arrive", "arrive", "extra", "release", "release", "interrupt", "pass", "report"),
  pick: fc.nat(30),
  tenant: fc.constantFrom("a", "b", "c"),
  plan: fc.constantFrom<Array<Plan>>("standard", "premium"),
  priority: fc.constantFrom<Array<Priority>>("critical", "standard", "background"),
  tokens: fc.integer({ min: 0, max: 5_000 }),
  deadlineMs: fc.constantFrom(50, 400, 3_000, Infinity),
  streamed: fc.boolean()
})

const play = (moves: ReadonlyArray<Move>) =>
  Effect.gen(function* () {
    const bulkhead = yield* Bulkhead
    const fibers: Array<Fiber.Fiber<Held, unknown>> = []
    const extras: Array<() => void> = []
    const released = new Set<Fiber.Fiber<Held, unknown>>()
    const release = Effect.fnUntraced(function* (fiber: Fiber.Fiber<Held, unknown>) {
      const exit = fiber.pollUnsafe()
      if (exit === undefined || Exit.isFailure(exit)) return
      released.add(fiber)
      yield* exit.value.release
    })
    let now = 0
    for (const { deadlineMs, kind, pick, plan, priority, streamed, tenant, tokens } of moves) {
      const request = ask({ tenant, plan, priority, tokens, streamed, deadline: Deadline.within(now, deadlineMs) })
      const chosen = fibers[pick % Math.max(1, fibers.length)]
      const exit = chosen?.pollUnsafe()
      if (kind === "arrive") fibers.push(yield* line(request))
      else if (kind === "extra") {
        const permit = bulkhead.tryAcquireUnsafe(request)
        if (permit !== undefined) extras.push(() => permit.release())
      } else if (kind === "pass") {
        yield* TestClock.adjust(pick * 40)
        now += pick * 40
      } else if (kind === "interrupt") chosen?.interruptUnsafe()
      else if (kind === "release" && pick % 4 === 0 && extras.length > 0) extras.pop()?.()
      else if (chosen !== undefined && kind === "release") yield* release(chosen)
      else if (exit !== undefined && Exit.isSuccess(exit)) {
        exit.value.permit.firstToken(pick * 10)
        exit.value.permit.answered(tokens, pick * 10)
        exit.value.permit.settle(tokens)
      }
      yield* turns(3)
      const { inFlight, queued } = yield* stateOf()
      const held = fibers.filter((fiber) => {
        const one = fiber.pollUnsafe()
        return one !== undefined && Exit.isSuccess(one) && !released.has(fiber)
      })
      assert.strictEqual(inFlight, held.length + extras.length, "a place without a holder, or a holder without a place")
      assert.strictEqual(queued, fibers.filter((fiber) => fiber.pollUnsafe() === undefined).length)
      assert.isAtMost(inFlight, 2)
      assert.isAtMost(queued, 3)
      if (queued > 0) assert.strictEqual(inFlight, 2, "someone waits beside a free place")
    }
    for (const give of extras) give()
    for (let round = 0; round < 6; round++) {
      for (const fiber of fibers) yield* release(fiber)
      yield* turns(3)
    }
    assert.deepStrictEqual(yield* stateOf(), idle(2))
    assert.isTrue(fibers.every((fiber) => fiber.pollUnsafe() !== undefined))
  })
