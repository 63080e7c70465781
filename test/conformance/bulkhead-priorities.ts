/** Priorities before one provider: each owns a share of the places, and lends what it does not need. */
import { assert, describe } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import type { Priority } from "../../src/domain/caller.ts"
import { ask, heldBy, line, occupy, on, roomy, served, stateOf, turns } from "./bulkhead-kit.ts"
import type { Held, Suite } from "./bulkhead-kit.ts"

const all: ReadonlyArray<Priority> = ["critical", "standard", "background"]

type Waiting = Record<Priority, Array<Fiber.Fiber<Held, unknown>>>

/** `count` claims of each of these priorities in the queue; the lowest came first. */
const queueUp = (count: number, priorities: ReadonlyArray<Priority> = all) =>
  Effect.gen(function* () {
    const waiting: Waiting = { critical: [], standard: [], background: [] }
    for (const priority of priorities.toReversed()) {
      for (let i = 0; i < count; i++) waiting[priority].push(yield* line(ask({ priority, tenant: `${priority}-${i}` })))
    }
    return waiting
  })

const counts = (waiting: Waiting) => all.map((priority) => waiting[priority].filter(served).length)

const hold = (count: number, priority: Priority) =>
  Effect.forEach(Array.from({ length: count }), () => occupy(ask({ priority, tenant: "busy" })))

export const suite: Suite = (name, layer) => {
  const effect = on(layer, roomy({ maxInFlight: 10 }))

  describe(`Bulkhead, priorities: ${name}`, () => {
    effect(
      "while all wait, each gets its share of the places",
      Effect.gen(function* () {
        const busy = yield* hold(10, "background")
        const waiting = yield* queueUp(20)
        for (const { release } of busy) yield* release
        yield* turns(2)
        assert.deepStrictEqual(counts(waiting), [6, 3, 1])
        // And keeps it, whoever gives places back.
        for (let round = 0; round < 8; round++) {
          for (const priority of all) yield* heldBy(waiting[priority].shift() ?? assert.fail()).release
          yield* turns(2)
          assert.deepStrictEqual(counts(waiting), [6, 3, 1])
        }
      })
    )

    effect(
      "what nobody else asks for is lent",
      Effect.gen(function* () {
        const busy = yield* hold(10, "critical")
        const waiting = yield* queueUp(20, ["background"])
        for (const { release } of busy) yield* release
        yield* turns(2)
        assert.deepStrictEqual(counts(waiting), [0, 0, 10])
        assert.deepStrictEqual(yield* stateOf(), { limit: 10, inFlight: 10, queued: 10 })
      })
    )

    effect(
      "what was lent comes back as its calls end, and none of them is cut short",
      Effect.gen(function* () {
        const busy = yield* hold(10, "background")
        const waiting = yield* queueUp(20)
        yield* turns(2)
        assert.deepStrictEqual(counts(waiting), [0, 0, 0])
        const got: Array<ReadonlyArray<number>> = []
        for (const { release } of busy) {
          yield* release
          yield* turns(2)
          got.push(counts(waiting))
        }
        // Critical and standard get all of them until the background has no more than its share.
        assert.deepStrictEqual(got[8], [6, 3, 0])
        assert.deepStrictEqual(got[9], [6, 3, 1])
      })
    )

    effect(
      "among those equally far from their shares, and where all have theirs, the higher goes first",
      Effect.gen(function* () {
        const busy = [
          ...(yield* hold(3, "critical")),
          ...(yield* hold(1, "standard")),
          ...(yield* hold(1, "background"))
        ]
        const waiting = yield* queueUp(4)
        // All have their share, which is one place of five: the higher may borrow.
        yield* busy[0]?.release ?? Effect.void
        yield* turns(2)
        assert.deepStrictEqual(counts(waiting), [1, 0, 0])
        // Standard and background have none.
        yield* busy[3]?.release ?? Effect.void
        yield* busy[4]?.release ?? Effect.void
        yield* turns(2)
        assert.deepStrictEqual(counts(waiting), [1, 1, 1])
      }),
      roomy({ maxInFlight: 5, shares: { critical: 0.2, standard: 0.2, background: 0.2 } })
    )

    effect(
      "a priority without a share is served when no other waits",
      Effect.gen(function* () {
        const busy = yield* hold(2, "critical")
        const waiting = yield* queueUp(2, ["critical", "background"])
        for (const { release } of busy) yield* release
        yield* turns(2)
        assert.deepStrictEqual(counts(waiting), [2, 0, 0])
        for (const fiber of waiting.critical) yield* heldBy(fiber).release
        yield* turns(2)
        assert.deepStrictEqual(counts(waiting), [2, 0, 2])
      }),
      roomy({ maxInFlight: 2, shares: { critical: 1, standard: 0, background: 0 } })
    )

    effect(
      "tenants are served fairly within a priority, whatever they send in another",
      Effect.gen(function* () {
        const busy = yield* hold(10, "critical")
        // A tenant's flood in the background counts against it there alone.
        for (let i = 0; i < 50; i++) yield* line(ask({ tenant: "both", priority: "background" }))
        const both: Array<Fiber.Fiber<Held, unknown>> = []
        const other: Array<Fiber.Fiber<Held, unknown>> = []
        for (let i = 0; i < 20; i++) {
          both.push(yield* line(ask({ tenant: "both" })))
          other.push(yield* line(ask({ tenant: "other" })))
        }
        for (const { release } of busy) yield* release
        yield* turns(2)
        assert.approximately(both.filter(served).length, other.filter(served).length, 1)
      })
    )
  })
}
