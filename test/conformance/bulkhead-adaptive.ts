/** A limit that is learned, seen from outside: what it means for places and for those who wait. */
import { assert, describe } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { ask, heldBy, line, occupy, on, roomy, served, stateOf, turns } from "./bulkhead-kit.ts"
import type { Held, Suite } from "./bulkhead-kit.ts"

const policy = roomy({ adaptive: true, minInFlight: 2, maxInFlight: 64 })

/** One window of reports from a permit: as many first tokens as it takes, over more than a second. */
const window = (held: Held, firstTokenMs: number) =>
  Effect.gen(function* () {
    for (let i = 0; i < 30; i++) held.permit.firstToken(firstTokenMs)
    yield* TestClock.adjust(1_100)
    for (let i = 0; i < 30; i++) held.permit.firstToken(firstTokenMs)
  })

const limit = Effect.map(stateOf(), (state) => state.limit)

/** Take every place there is. */
const fill = Effect.gen(function* () {
  const held: Array<Held> = []
  while (held.length < (yield* limit)) held.push(yield* occupy(ask({ tenant: "busy" })))
  return held
})

export const suite: Suite = (name, layer) => {
  const effect = on(layer, policy)

  describe(`Bulkhead, adaptive: ${name}`, () => {
    effect(
      "it begins between its floor and its ceiling",
      Effect.gen(function* () {
        const first = yield* limit
        assert.isAbove(first, 2)
        assert.isBelow(first, 64)
      })
    )

    effect(
      "when the limit grows, those who wait get the new places at once",
      Effect.gen(function* () {
        const held = yield* fill
        const waiters = yield* Effect.forEach(Array.from({ length: 100 }), () => line())
        const before = yield* limit
        yield* window(held[0] ?? assert.fail(), 300)
        yield* turns(2)
        const after = yield* limit
        assert.isAbove(after, before)
        assert.strictEqual(waiters.filter(served).length, after - before)
        assert.deepStrictEqual(yield* stateOf(), { limit: after, inFlight: after, queued: 100 - (after - before) })
      })
    )

    effect(
      "when it shrinks nothing is taken back, and no place is given until as many have ended",
      Effect.gen(function* () {
        const held = yield* fill
        const waiters = yield* Effect.forEach(Array.from({ length: 100 }), () => line())
        const reporter = held[0] ?? assert.fail()
        yield* window(reporter, 300)
        yield* turns(2)
        const all: Array<Held> = [...held, ...waiters.filter(served).map(heldBy)]
        for (let i = 0; i < 2; i++) yield* window(reporter, 3_000)
        const { inFlight, limit: smaller } = yield* stateOf()
        assert.isBelow(smaller, all.length)
        assert.strictEqual(inFlight, all.length)
        const given = waiters.filter(served).length
        for (const { release } of all.slice(0, all.length - smaller)) yield* release
        yield* turns(2)
        assert.strictEqual(waiters.filter(served).length, given)
        yield* all.at(-1)?.release ?? Effect.void
        yield* turns(2)
        assert.strictEqual(waiters.filter(served).length, given + 1)
        yield* Fiber.interruptAll(waiters)
      })
    )

    effect(
      "a fixed limit listens to nobody",
      Effect.gen(function* () {
        const held = yield* occupy()
        for (let i = 0; i < 5; i++) yield* window(held, 300 * 2 ** i)
        for (let i = 0; i < 200; i++) held.permit.dropped()
        assert.strictEqual(yield* limit, 64)
      }),
      { ...policy, adaptive: false }
    )

    effect(
      "refusals for overload shrink it",
      Effect.gen(function* () {
        const held = yield* fill
        const before = yield* limit
        for (let i = 0; i < 60; i++) {
          if (i === 30) yield* TestClock.adjust(1_100)
          held[i % held.length]?.permit.dropped()
        }
        assert.isBelow(yield* limit, before)
        assert.isAtLeast(yield* limit, Math.floor(before / 2))
      })
    )
  })
}
