/** Tenants before one provider: each gets its part of the work, whatever it sends. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import * as fc from "fast-check"
import type { Plan } from "../../src/domain/caller.ts"
import { ask, heldBy, line, occupy, on, roomy, served, stateOf, turns } from "./bulkhead-kit.ts"
import type { Held, Suite } from "./bulkhead-kit.ts"

interface Want {
  readonly tenant: string
  readonly plan?: Plan
  readonly tokens: number
  /** What the call turns out to cost; the estimate, where it is missing. */
  readonly actual?: number
}

/** With every place taken by somebody else, let all of them wait; then give places back one by one, and see who gets them. */
const servedInOrder = (places: number, wants: ReadonlyArray<Want>) =>
  Effect.gen(function* () {
    const busy: Array<Held> = []
    for (let i = 0; i < places; i++) busy.push(yield* occupy(ask({ tenant: "before" })))
    const waiting = new Map<Want, Fiber.Fiber<Held, unknown>>()
    for (const want of wants) {
      waiting.set(want, yield* line(ask({ tenant: want.tenant, plan: want.plan ?? "standard", tokens: want.tokens })))
    }
    const order: Array<Want> = []
    for (let place = busy.shift(); place !== undefined; place = busy.shift()) {
      yield* place.release
      yield* turns(2)
      for (const [want, fiber] of waiting) {
        if (!served(fiber)) continue
        waiting.delete(want)
        order.push(want)
        const held = heldBy(fiber)
        if (want.actual !== undefined) held.permit.settle(want.actual)
        busy.push(held)
      }
    }
    assert.strictEqual(order.length, wants.length, "somebody was never served")
    return order
  })

const many = (count: number, want: Want): ReadonlyArray<Want> => Array.from({ length: count }, () => ({ ...want }))

/** How many of the first `first` are of a tenant. */
const among = (order: ReadonlyArray<Want>, first: number, tenant: string) =>
  order.slice(0, first).filter((want) => want.tenant === tenant).length

export const suite: Suite = (name, layer) => {
  const effect = on(layer, roomy({ maxInFlight: 1 }))

  describe(`Bulkhead, fairness: ${name}`, () => {
    effect(
      "tenants get the same work, not the same number of calls",
      Effect.gen(function* () {
        const order = yield* servedInOrder(1, [
          ...many(20, { tenant: "long", tokens: 300 }),
          ...many(60, { tenant: "short", tokens: 100 })
        ])
        for (const first of [20, 40, 60]) assert.approximately(among(order, first, "short"), (first * 3) / 4, 2)
      })
    )

    effect(
      "a premium tenant gets its multiple",
      Effect.gen(function* () {
        const order = yield* servedInOrder(1, [
          ...many(40, { tenant: "standard", tokens: 100 }),
          ...many(40, { tenant: "premium", plan: "premium", tokens: 100 })
        ])
        for (const first of [15, 30, 45]) assert.approximately(among(order, first, "premium"), (first * 2) / 3, 1)
      })
    )

    effect(
      "a whale's queue does not delay a tenant that comes now and then",
      Effect.gen(function* () {
        let busy = yield* occupy(ask({ tenant: "whale" }))
        const whale: Array<Fiber.Fiber<Held, unknown>> = []
        for (let i = 0; i < 500; i++) whale.push(yield* line(ask({ tenant: "whale" })))
        for (let round = 0; round < 50; round++) {
          const small = yield* line(ask({ tenant: "small" }))
          let places = 0
          while (!served(small)) {
            yield* busy.release
            yield* turns(2)
            places++
            assert.isAtMost(places, 2, `round ${round}: it waited for more than one of the whale's calls`)
            if (!served(small)) busy = heldBy(whale.shift() ?? assert.fail("the whale has no more"))
          }
          busy = heldBy(small)
        }
      })
    )

    effect(
      "a call that cost more than was guessed is paid for by the tenant's next ones",
      Effect.gen(function* () {
        const order = yield* servedInOrder(1, [
          ...many(10, { tenant: "modest", tokens: 100, actual: 900 }),
          ...many(60, { tenant: "honest", tokens: 100, actual: 100 })
        ])
        // A tenth of the places, and one that was given before anybody knew.
        for (const first of [10, 30, 50]) assert.approximately(among(order, first, "modest"), first / 10, 1)
      })
    )

    effect(
      "a call that cost less is given back",
      Effect.gen(function* () {
        const order = yield* servedInOrder(1, [
          ...many(30, { tenant: "cautious", tokens: 4_000, actual: 100 }),
          ...many(30, { tenant: "honest", tokens: 100, actual: 100 })
        ])
        for (const first of [10, 20, 40]) assert.approximately(among(order, first, "cautious"), first / 2, 1)
      })
    )

    effect(
      "estimates that are always too high are charged as what they are worth",
      Effect.gen(function* () {
        // Everybody is guessed at ten times what it takes.
        for (let i = 0; i < 40; i++) {
          const held = yield* occupy(ask({ tenant: `t-${i % 4}`, tokens: 1_000 }))
          held.permit.settle(100)
          yield* held.release
        }
        // Nobody hears what the calls of the first of these really take; they are not charged ten times as much for that.
        const order = yield* servedInOrder(1, [
          ...many(20, { tenant: "unsettled", tokens: 1_000 }),
          ...many(20, { tenant: "settled", tokens: 1_000, actual: 100 })
        ])
        for (const first of [10, 20, 30]) assert.isAtLeast(among(order, first, "unsettled"), first * 0.35)
      })
    )

    effect(
      "a cost is corrected once",
      Effect.gen(function* () {
        const first = yield* occupy(ask({ tenant: "a" }))
        first.permit.settle(100)
        first.permit.settle(1_000_000)
        const a = yield* line(ask({ tenant: "a" }))
        const b = [yield* line(ask({ tenant: "b" })), yield* line(ask({ tenant: "b" }))] as const
        yield* first.release
        yield* turns(2)
        assert.deepStrictEqual([a, ...b].map(served), [false, true, false])
        yield* heldBy(b[0]).release
        yield* turns(2)
        // Both have had one call of 100 tokens, and this one came first.
        assert.deepStrictEqual([a, ...b].map(served), [true, true, false])
      })
    )

    effect(
      "who was served before is served again, though tenants that come once never end",
      Effect.gen(function* () {
        let busy = yield* occupy(ask({ tenant: "regular" }))
        const once: Array<Fiber.Fiber<Held, unknown>> = []
        for (let i = 0; i < 5; i++) once.push(yield* line(ask({ tenant: `once-${i}` })))
        const regular = yield* line(ask({ tenant: "regular" }))
        let places = 0
        while (!served(regular)) {
          once.push(yield* line(ask({ tenant: `once-more-${places}` })))
          yield* busy.release
          yield* turns(2)
          assert.isAtMost(++places, 40, "it starves")
          if (!served(regular)) busy = heldBy(once.shift() ?? assert.fail("nobody was served"))
        }
      })
    )

    effect(
      "a quiet tenant saves nothing up",
      Effect.gen(function* () {
        let held = yield* occupy(ask({ tenant: "loud" }))
        const waiting = new Set<Fiber.Fiber<Held, unknown>>()
        for (let i = 0; i < 30; i++) waiting.add(yield* line(ask({ tenant: "loud" })))
        const next = Effect.gen(function* () {
          yield* held.release
          yield* turns(2)
          const fiber = [...waiting].find(served) ?? assert.fail("nobody was served")
          waiting.delete(fiber)
          held = heldBy(fiber)
          return fiber
        })
        for (let i = 0; i < 10; i++) yield* next
        // Ten calls later somebody comes who has had none: it gets half of the places, not the next ten.
        const quiet: Array<Fiber.Fiber<Held, unknown>> = []
        for (let i = 0; i < 10; i++) quiet.push(yield* line(ask({ tenant: "quiet" })))
        for (const fiber of quiet) waiting.add(fiber)
        let taken = 0
        for (let i = 0; i < 10; i++) if (quiet.includes(yield* next)) taken++
        assert.approximately(taken, 5, 1)
      })
    )

    it.effect("over any time in which two tenants wait, their work differs by one call of each at most", () =>
      Effect.promise(() =>
        fc.assert(
          fc.asyncProperty(
            fc.integer({ min: 1, max: 4 }),
            fc.array(fc.integer({ min: 1, max: 1_000 }), { minLength: 5, maxLength: 25 }),
            fc.array(fc.integer({ min: 1, max: 1_000 }), { minLength: 5, maxLength: 25 }),
            fc.boolean(),
            (places, left, right, premium) =>
              Effect.runPromise(
                Effect.provide(
                  bounded(places, left, right, premium),
                  Layer.fresh(layer(roomy({ maxInFlight: places })))
                )
              )
          ),
          { numRuns: 60 }
        )
      )
    )
  })
}

/** The bound of start-time fair queuing for the work that is begun: the largest claim of each, for its weight. */
const bounded = (places: number, left: ReadonlyArray<number>, right: ReadonlyArray<number>, premium: boolean) =>
  Effect.gen(function* () {
    const weight = premium ? 2 : 1
    const order = yield* servedInOrder(places, [
      ...left.map((tokens): Want => ({ tenant: "left", tokens })),
      ...right.map((tokens): Want => ({ tenant: "right", plan: premium ? "premium" : "standard", tokens }))
    ])
    const bound = Math.max(...left) + Math.max(...right) / weight
    let waitingLeft = left.length
    let waitingRight = right.length
    let difference = 0
    let least = 0
    let most = 0
    for (const { tenant, tokens } of order) {
      if (waitingLeft === 0 || waitingRight === 0) break
      difference += tenant === "left" ? tokens : -tokens / weight
      if (tenant === "left") waitingLeft--
      else waitingRight--
      least = Math.min(least, difference)
      most = Math.max(most, difference)
    }
    assert.isAtMost(most - least, bound + 1e-6)
    assert.deepStrictEqual(yield* stateOf(), { limit: places, inFlight: 0, queued: 0 })
  })
