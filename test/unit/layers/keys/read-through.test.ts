import { assert, describe, it } from "@effect/vitest"
import { Clock, Deferred, Effect, Exit, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { StoreError } from "../../../../src/domain/errors.ts"
import * as ReadThrough from "../../../../src/layers/keys/read-through.ts"

const down = new StoreError({ store: "postgres", reason: { _tag: "Unavailable", detail: "down" } })

/** A store that counts its lookups and can be held, changed and broken. */
const world = (options: Partial<ReadThrough.Options<string>> = {}) =>
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const rows = new Map([
      ["a", "1"],
      ["b", "2"]
    ])
    const state = { asked: [] as Array<ReadonlyArray<string>>, broken: false, healthy: true }
    let gate: Deferred.Deferred<void> | undefined
    const cache = yield* ReadThrough.make<string>({
      lookup: (ids) =>
        Effect.gen(function* () {
          state.asked.push(ids)
          const found = new Map([...rows].filter(([id]) => ids.includes(id)))
          const held = gate
          if (held !== undefined) yield* Deferred.await(held)
          return state.broken ? yield* down : found
        }),
      now: () => clock.currentTimeMillisUnsafe(),
      healthy: () => state.healthy,
      lifeMs: 30_000,
      missingLifeMs: 5_000,
      graceMs: 300_000,
      max: 100,
      waitMs: 250,
      lookupMs: 1_000,
      ...options
    })
    return {
      cache,
      rows,
      state,
      /** Lookups that begin from now on wait for the result to be run. */
      hold: () => {
        const held = Deferred.makeUnsafe<void>()
        gate = held
        return Effect.suspend(() => {
          gate = undefined
          return Deferred.succeed(held, undefined)
        })
      },
      value: (id: string) => Effect.map(cache.load(id), ({ value }) => value)
    }
  })

const settled = Effect.forEach([1, 2, 3, 4, 5], () => Effect.yieldNow, { discard: true })

describe("rows read through", () => {
  it.effect("are looked up once, then answered at once", () =>
    Effect.gen(function* () {
      const { cache, state, value } = yield* world()
      assert.isUndefined(cache.peek("a"))
      assert.strictEqual(yield* value("a"), "1")
      assert.isTrue(Exit.isExit(cache.load("a")))
      assert.strictEqual(cache.peek("a")?.value, "1")
      assert.deepStrictEqual(state.asked, [["a"]])
    })
  )

  it.effect("that are not there are remembered for a shorter while", () =>
    Effect.gen(function* () {
      const { rows, state, value } = yield* world()
      assert.isUndefined(yield* value("x"))
      rows.set("x", "9")
      yield* TestClock.adjust(4_999)
      assert.isUndefined(yield* value("x"))
      assert.strictEqual(state.asked.length, 1)
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* value("x"), "9")
    })
  )

  it.effect("one lookup serves all who want the same, and the next one all other ids together", () =>
    Effect.gen(function* () {
      const { hold, state, value } = yield* world()
      const open = hold()
      const first = yield* Effect.forkChild(value("a"), { startImmediately: true })
      yield* settled
      const fibers = yield* Effect.forEach(["a", "b", "x", "y", "b"], (id) =>
        Effect.forkChild(value(id), { startImmediately: true })
      )
      yield* settled
      yield* open
      assert.deepStrictEqual(yield* Effect.forEach([first, ...fibers], Fiber.join), [
        "1",
        "1",
        "2",
        undefined,
        undefined,
        "2"
      ])
      assert.deepStrictEqual(state.asked, [["a"], ["b", "x", "y"]])
    })
  )

  it.effect("a caller that leaves stops no lookup that others wait for", () =>
    Effect.gen(function* () {
      const { hold, state, value } = yield* world()
      const open = hold()
      const first = yield* Effect.forkChild(value("a"), { startImmediately: true })
      const second = yield* Effect.forkChild(value("a"), { startImmediately: true })
      yield* settled
      yield* Fiber.interrupt(first)
      yield* open
      assert.strictEqual(yield* Fiber.join(second), "1")
      assert.strictEqual(state.asked.length, 1)
    })
  )

  it.effect("in use are read again in the background, and nobody waits", () =>
    Effect.gen(function* () {
      const { cache, rows, state, value } = yield* world()
      yield* value("a")
      rows.set("a", "new")
      yield* TestClock.adjust(15_000)
      assert.strictEqual(cache.peek("a")?.value, "1")
      yield* settled
      assert.strictEqual(cache.peek("a")?.value, "new")
      assert.strictEqual(state.asked.length, 2)
    })
  )

  it.effect("past their life are read again before they are used, while the store is well", () =>
    Effect.gen(function* () {
      const { cache, rows, value } = yield* world()
      yield* value("a")
      rows.set("a", "new")
      yield* TestClock.adjust(30_000)
      assert.isUndefined(cache.peek("a"))
      assert.strictEqual(yield* value("a"), "new")
    })
  )

  it.effect("go on for their grace while the store is away, and not a moment longer", () =>
    Effect.gen(function* () {
      const { cache, state, value } = yield* world()
      yield* value("a")
      yield* value("x")
      state.broken = true
      // The store has just gone, and nobody has noticed: the lookup fails, and the row goes on.
      yield* TestClock.adjust(30_000)
      assert.strictEqual(yield* value("a"), "1")
      state.healthy = false
      assert.deepStrictEqual(yield* Effect.flip(value("b")), down)
      assert.deepStrictEqual(yield* Effect.flip(value("x")), down)
      yield* TestClock.adjust(299_999)
      assert.strictEqual(cache.peek("a")?.value, "1")
      yield* settled
      yield* TestClock.adjust(1)
      assert.isUndefined(cache.peek("a"))
      assert.deepStrictEqual(yield* Effect.flip(value("a")), down)
      state.broken = false
      yield* TestClock.adjust(250)
      assert.strictEqual(yield* value("a"), "1")
    })
  )

  it.effect("a store that is away is asked four times a second, however many ask", () =>
    Effect.gen(function* () {
      const { state, value } = yield* world()
      state.broken = true
      for (let i = 0; i < 100; i++) yield* Effect.flip(value(`id-${i}`))
      assert.strictEqual(state.asked.length, 1)
      yield* TestClock.adjust(250)
      yield* Effect.flip(value("a"))
      assert.strictEqual(state.asked.length, 2)
    })
  )

  it.effect("a store that hangs holds nobody longer than the wait, and is left after the lookup's time", () =>
    Effect.gen(function* () {
      const { hold, state, value } = yield* world()
      const open = hold()
      const fiber = yield* Effect.forkChild(Effect.flip(value("a")), { startImmediately: true })
      yield* TestClock.adjust(250)
      assert.deepStrictEqual((yield* Fiber.join(fiber)).reason, { _tag: "Timeout", afterMs: 250 })
      yield* TestClock.adjust(750)
      assert.deepStrictEqual((yield* Effect.flip(value("b"))).reason, { _tag: "Timeout", afterMs: 1_000 })
      assert.strictEqual(state.asked.length, 1)
      yield* open
      yield* TestClock.adjust(250)
      assert.strictEqual(yield* value("b"), "2")
    })
  )

  it.effect("a change is seen by the next who asks", () =>
    Effect.gen(function* () {
      const { cache, rows, value } = yield* world()
      yield* value("a")
      yield* value("b")
      rows.set("a", "new")
      rows.delete("b")
      cache.evict("a")
      assert.strictEqual(yield* value("a"), "new")
      assert.strictEqual(yield* value("b"), "2")
      cache.evictWhere((_, found) => found === "2")
      assert.isUndefined(yield* value("b"))
    })
  )

  for (const [what, evict] of [
    ["by its id", (cache: ReadThrough.ReadThrough<string>) => cache.evict("a")],
    ["with many", (cache: ReadThrough.ReadThrough<string>) => cache.evictWhere(() => false)]
  ] as const) {
    it.effect(`a row that is evicted (${what}) while it is looked up is looked up once more`, () =>
      Effect.gen(function* () {
        const { cache, hold, rows, state, value } = yield* world()
        const open = hold()
        const fiber = yield* Effect.forkChild(value("a"), { startImmediately: true })
        yield* settled
        rows.set("a", "new")
        evict(cache)
        yield* open
        assert.strictEqual(yield* Fiber.join(fiber), "new")
        assert.strictEqual(state.asked.length, 2)
      })
    )
  }

  it.effect("in doubt are read again before they are used; with the store away they go on", () =>
    Effect.gen(function* () {
      const { cache, rows, state, value } = yield* world()
      yield* value("a")
      yield* value("x")
      rows.set("a", "new")
      rows.set("x", "9")
      cache.doubt()
      assert.isUndefined(cache.peek("a"))
      assert.isUndefined(cache.peek("x"))
      assert.strictEqual(yield* value("a"), "new")
      assert.strictEqual(yield* value("x"), "9")
      assert.isTrue(Exit.isExit(cache.load("a")))
      state.broken = true
      state.healthy = false
      cache.doubt()
      assert.strictEqual(cache.peek("a")?.value, "new")
    })
  )

  it.effect("made-up ids fill no memory and push no row out", () =>
    Effect.gen(function* () {
      const { cache, value } = yield* world({ max: 2 })
      yield* value("a")
      yield* Effect.forEach(
        Array.from({ length: 1_000 }, (_, i) => `x-${i}`),
        value,
        { concurrency: "unbounded" }
      )
      assert.strictEqual(cache.peek("a")?.value, "1")
      assert.isUndefined(cache.peek("x-0"))
      assert.isDefined(cache.peek("x-999"))
    })
  )

  it.effect("a clock that is set back makes no row live longer", () =>
    Effect.gen(function* () {
      let now = 1_000_000
      const { cache, value } = yield* world({ now: () => now })
      yield* value("a")
      now -= 3_600_000
      assert.isUndefined(cache.peek("a"))
      assert.strictEqual(yield* value("a"), "1")
      assert.strictEqual(cache.peek("a")?.value, "1")
    })
  )
})
