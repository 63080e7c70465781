/** CircuitBreaker: opening everything at once is impossible. */
import { assert, describe } from "@effect/vitest"
import { Clock, Effect } from "effect"
import { TestClock } from "effect/testing"
import { CircuitBreaker } from "../../src/services/circuit-breaker.ts"
import { acquire, call, delivered, hold, refusal, stateOf, tester, times, transitions } from "./circuit-breaker-kit.ts"
import type { MakeLayer } from "./circuit-breaker-kit.ts"

const keyOf = (n: number) => `provider-${n}/model`
const keys = (count: number) => Array.from({ length: count }, (_, n) => keyOf(n))

const okOf = (key: string) => call((lease) => lease.succeed(10), key)
const badOf = (key: string) => call((lease) => lease.fail(), key)
const slowOf = (key: string) => call((lease) => lease.succeed(1_001), key)

const states = (of: ReadonlyArray<string>) => Effect.forEach(of, (key) => stateOf(key))

/** All of them fail, or are slow, until they are refused. */
const all = (of: ReadonlyArray<string>, one: (key: string) => ReturnType<typeof badOf>) =>
  Effect.gen(function* () {
    for (let i = 0; i < 10; i++) for (const key of of) yield* Effect.ignore(one(key))
  })

export const suite = (name: string, layer: MakeLayer): void => {
  const effect = tester(layer)

  describe(`CircuitBreaker: ${name}: panic threshold`, () => {
    for (const [count, most] of [
      [1, 1],
      [2, 1],
      [3, 2],
      [4, 2],
      [5, 3],
      [6, 4]
    ] as const) {
      effect(
        `of ${count} in use at most ${most} ${most === 1 ? "is" : "are"} open, the others are probed`,
        Effect.gen(function* () {
          const used = keys(count)
          for (const key of used) yield* okOf(key)
          yield* all(used, badOf)
          const now = yield* states(used)
          assert.strictEqual(now.filter((state) => state === "open").length, most)
          assert.strictEqual(now.filter((state) => state === "half-open").length, count - most)
        })
      )
    }

    effect(
      "a share of 1 still leaves one, and a share of 0 still lets one open",
      Effect.gen(function* () {
        const used = keys(3)
        for (const key of used) yield* okOf(key)
        yield* all(used, badOf)
        assert.strictEqual((yield* states(used)).filter((state) => state === "open").length, 2)
      }),
      { maxOpenShare: 1 }
    )
    effect(
      "a share of 0 still lets one open",
      Effect.gen(function* () {
        const used = keys(3)
        for (const key of used) yield* okOf(key)
        yield* all(used, badOf)
        assert.strictEqual((yield* states(used)).filter((state) => state === "open").length, 1)
      }),
      { maxOpenShare: 0 }
    )

    effect(
      "a dead one that may not open costs three calls a second at most; everyone else is refused at once",
      Effect.gen(function* () {
        const [open, spared] = [keyOf(0), keyOf(1)]
        yield* okOf(spared)
        yield* times(10, badOf(open))
        const seen = yield* transitions
        const made: Array<number> = []
        const dead = Effect.gen(function* () {
          const lease = yield* acquire(spared)
          made.push(yield* Clock.currentTimeMillis)
          lease.fail()
        })
        for (let i = 0; i < 3_000; i++) {
          yield* TestClock.adjust(10)
          const error = yield* Effect.flip(Effect.scoped(dead)).pipe(Effect.catch(() => Effect.undefined))
          if (error === undefined) continue
          assert.strictEqual(error.reason._tag, "Probing")
          assert.isAtMost(error.reason.retryAfterMs, 5_000)
        }
        yield* delivered
        const of = seen.filter(({ key }) => key === spared)
        assert.deepStrictEqual(
          of.map(({ from, reason, to }) => `${from} > ${to}: ${reason}`),
          ["closed > half-open: failure-rate"]
        )
        const trip = made.findIndex((at) => at > of[0]!.atMs) - 1
        assert.isAtMost(trip, 20)
        const probes = made.slice(trip)
        assert.isAbove(probes.length, 15)
        for (let i = 3; i < probes.length; i++) assert.isAtLeast(probes[i]! - probes[i - 3]!, 1_000)
      })
    )

    effect(
      "one that may not open closes when its probes answer, and opens once another has closed",
      Effect.gen(function* () {
        const [first, second] = [keyOf(0), keyOf(1)]
        yield* okOf(second)
        yield* times(10, badOf(first))
        yield* times(9, badOf(second))
        assert.deepStrictEqual(yield* states([first, second]), ["open", "half-open"])
        yield* TestClock.adjust(6_000)
        yield* times(3, okOf(first))
        assert.deepStrictEqual(yield* states([first, second]), ["closed", "half-open"])
        yield* badOf(second)
        assert.deepStrictEqual(yield* states([first, second]), ["closed", "open"])
        yield* TestClock.adjust(60_000)
        yield* times(3, okOf(second))
        assert.deepStrictEqual(yield* states([first, second]), ["closed", "closed"])
      })
    )

    effect(
      "verdicts of an earlier batch of probes change nothing",
      Effect.gen(function* () {
        const [first, second] = [keyOf(0), keyOf(1)]
        yield* okOf(second)
        yield* times(10, badOf(first))
        yield* times(9, badOf(second))
        const stale = [yield* hold(second), yield* hold(second)]
        yield* badOf(second)
        assert.isFalse(stale[0]!.lease.begin())
        yield* TestClock.adjust(1_500)
        yield* times(2, okOf(second))
        for (const { close, lease } of stale) {
          lease.succeed(10)
          lease.fail()
          yield* close
        }
        assert.strictEqual(yield* stateOf(second), "half-open")
        yield* okOf(second)
        assert.strictEqual(yield* stateOf(second), "closed")
      })
    )

    effect(
      "slowness alone does not open the last one",
      Effect.gen(function* () {
        const [first, second] = [keyOf(0), keyOf(1)]
        yield* okOf(second)
        yield* times(10, slowOf(first))
        assert.strictEqual(yield* stateOf(first), "open")
        yield* times(50, slowOf(second))
        assert.strictEqual(yield* stateOf(second), "closed")
        // Failures do.
        yield* times(51, badOf(second))
        assert.strictEqual(yield* stateOf(second), "half-open")
      })
    )

    effect(
      "where nothing else is left, slow answers close it again; probes that hang do not",
      Effect.gen(function* () {
        const [first, second] = [keyOf(0), keyOf(1)]
        yield* okOf(second)
        yield* times(10, slowOf(first))
        yield* times(9, badOf(second))
        yield* TestClock.adjust(6_000)
        const probes = yield* Effect.forEach([1, 2, 3], () => hold(first))
        for (const { lease } of probes) lease.begin()
        yield* TestClock.adjust(1_500)
        assert.strictEqual(yield* stateOf(first), "half-open")
        yield* TestClock.adjust(501)
        // As long as no probe of `first` may take: it opens, as one of two may.
        assert.strictEqual(yield* stateOf(first), "open")
        yield* TestClock.adjust(12_000)
        yield* times(3, slowOf(first))
        assert.strictEqual(yield* stateOf(first), "closed")
      })
    )

    effect(
      "tripping by hand is exempt, but counts",
      Effect.gen(function* () {
        const breaker = yield* CircuitBreaker
        const used = keys(2)
        for (const key of used) yield* okOf(key)
        yield* breaker.trip(keyOf(0), 60_000)
        yield* times(10, badOf(keyOf(1)))
        assert.deepStrictEqual(yield* states(used), ["open", "half-open"])
        yield* breaker.trip(keyOf(1), 60_000)
        assert.deepStrictEqual(yield* states(used), ["open", "open"])
      })
    )

    effect(
      "Retry-After holds back the probes of one that may not open",
      Effect.gen(function* () {
        const [first, second] = [keyOf(0), keyOf(1)]
        yield* okOf(second)
        yield* times(10, badOf(first))
        yield* times(8, badOf(second))
        yield* call((lease) => lease.fail(8_000), second)
        const reason = yield* refusal(second)
        assert.strictEqual(reason._tag, "Probing")
        assert.isAtLeast(reason.retryAfterMs, 8_000)
        yield* TestClock.adjust(9_001)
        yield* times(3, okOf(second))
        assert.strictEqual(yield* stateOf(second), "closed")
      })
    )

    effect(
      "what nobody has asked for in a minute is not in use",
      Effect.gen(function* () {
        yield* okOf(keyOf(0))
        yield* TestClock.adjust(60_001)
        yield* times(10, badOf(keyOf(1)))
        assert.strictEqual(yield* stateOf(keyOf(1)), "open")
        yield* times(10, badOf(keyOf(0)))
        assert.strictEqual(yield* stateOf(keyOf(0)), "half-open")
        yield* TestClock.adjust(60_001)
        // Nobody asks for either of them any more.
        yield* times(10, badOf(keyOf(2)))
        assert.strictEqual(yield* stateOf(keyOf(2)), "open")
      })
    )
  })
}
