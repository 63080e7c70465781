/** What every layer of the Hedging port must do. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Layer, Scope } from "effect"
import { TestClock } from "effect/testing"
import { defaults } from "../../src/domain/policy.ts"
import type { HedgePolicy } from "../../src/domain/policy.ts"
import { Hedging } from "../../src/services/hedging.ts"

const policy: HedgePolicy = {
  enabled: true,
  quantile: 0.95,
  minimumSamples: 100,
  windowMs: 60_000,
  maxExtraCost: 0.025,
  maxLateShare: 0.15
}

type Service = Hedging["Service"]

/** First tokens after 1 to 100 ms, evenly, `times` over: the p95 is 95. */
const learn = (hedging: Service, key = "a", times = 1, factor = 1): void => {
  for (let i = 0; i < times * 100; i++) hedging.observe(key, ((i % 100) + 1) * factor, false, false)
}

const isAbout = (actual: number | undefined, expected: number): void => {
  assert.isDefined(actual)
  assert.approximately(actual ?? 0, expected, expected * 0.06)
}

/** One call as a program makes it, that would take `ms`: late as soon as it is, observed when it answers. */
const call = (hedging: Service, ms: number, key = "a"): { readonly hedged: boolean } => {
  const delayMs = hedging.delayMs(key)
  const late = delayMs !== undefined && ms > delayMs
  const hedged = late && hedging.late(key, Infinity)
  hedging.observe(key, ms, false, late)
  return { hedged }
}

/** Times that repeat themselves: one call in `every` is ten times as slow. */
const usual = (n: number, factor = 1, every = 25): number => (n % every === 0 ? 1_000 : 60 + (n % 50)) * factor

export const suite = (name: string, layer: (policy: HedgePolicy) => Layer.Layer<Hedging>): void => {
  const effect = (
    title: string,
    test: (hedging: Service) => Effect.Effect<void, never, Scope.Scope>,
    values: Partial<HedgePolicy> = {}
  ) => it.effect(title, () => Effect.provide(Effect.flatMap(Hedging, test), layer({ ...policy, ...values })))
  const sync = (title: string, test: (hedging: Service) => void, values?: Partial<HedgePolicy>) =>
    effect(title, (hedging) => Effect.sync(() => test(hedging)), values)

  describe(`Hedging: ${name}`, () => {
    describe("when a call is late", () => {
      sync("at the quantile of the first tokens that were seen", (hedging) => {
        learn(hedging)
        isAbout(hedging.delayMs("a"), 95)
      })

      sync("rather early than late, where slow calls are just as many as the quantile leaves out", (hedging) => {
        for (const stragglers of [45, 50, 55, 80]) {
          const key = `${stragglers} of 1000`
          for (let n = 0; n < 1_000; n++) hedging.observe(key, n < stragglers ? 5_000 : 60 + (n % 50), false, false)
          assert.isAtMost(hedging.delayMs(key) ?? Infinity, 200, key)
        }
      })

      sync(
        "later where the cost cap does not pay for all that are late: the longest waits are worth it most",
        (hedging) => {
          learn(hedging, "a", 10)
          isAbout(hedging.delayMs("a"), 95)
          // A second call costs nearly what an answer does: one in fifty calls can have one.
          for (let n = 0; n < 1_000; n++) {
            hedging.earn(100)
            hedging.spend(125)
          }
          learn(hedging, "a", 1)
          isAbout(hedging.delayMs("a"), 98)
          assert.isAbove(hedging.delayMs("a") ?? 0, 96)
        }
      )

      sync(
        "at another quantile where the policy says so",
        (hedging) => {
          learn(hedging, "a", 20)
          isAbout(hedging.delayMs("a"), 50)
        },
        { quantile: 0.5 }
      )

      sync("never before enough were seen; calls that were given up are not", (hedging) => {
        for (let i = 0; i < 99; i++) hedging.observe("a", 10, false, false)
        for (let i = 0; i < 99; i++) hedging.observe("a", 10, true, false)
        assert.isUndefined(hedging.delayMs("a"))
        hedging.observe("a", 10, false, false)
        isAbout(hedging.delayMs("a"), 10)
      })

      sync(
        "never where the policy is not enabled",
        (hedging) => {
          learn(hedging)
          for (let i = 0; i < 1_000; i++) hedging.earn(1_000)
          assert.isUndefined(hedging.delayMs("a"))
          assert.isFalse(hedging.late("a", Infinity))
          assert.isFalse(hedging.spend(0))
        },
        { enabled: false }
      )

      it("is not enabled unless somebody says so: it costs money", () => {
        assert.isFalse(defaults.hedge.enabled)
      })

      sync("by each key's own times", (hedging) => {
        learn(hedging, "a")
        learn(hedging, "b", 1, 10)
        isAbout(hedging.delayMs("a"), 95)
        isAbout(hedging.delayMs("b"), 950)
        assert.isUndefined(hedging.delayMs("c"))
      })

      effect("by the times of the window alone", (hedging) =>
        Effect.gen(function* () {
          learn(hedging, "a", 1, 10)
          yield* TestClock.adjust(30_000)
          isAbout(hedging.delayMs("a"), 950)
          learn(hedging)
          isAbout(hedging.delayMs("a"), 900)
          yield* TestClock.adjust(31_000)
          isAbout(hedging.delayMs("a"), 95)
          yield* TestClock.adjust(3_600_000)
          assert.isUndefined(hedging.delayMs("a"))
        })
      )

      effect("no earlier because late calls are given up for their hedges", (hedging) =>
        Effect.gen(function* () {
          // One call in twenty is a straggler, which is cut when its hedge answers; the hedge is the fast one.
          for (let round = 0; round < 20; round++) {
            for (let n = 0; n < 100; n++) {
              const ms = usual(n)
              const delayMs = hedging.delayMs("a")
              if (delayMs === undefined || ms <= delayMs) {
                hedging.observe("a", ms, false, false)
                continue
              }
              hedging.late("a", Infinity)
              hedging.observe("a", 80, false, false)
              hedging.observe("a", delayMs + 80, true, true)
            }
            yield* TestClock.adjust(10_000)
            const delayMs = hedging.delayMs("a") ?? 0
            // The slowest of the fast ones take 109 ms, the stragglers a second.
            assert.isAtLeast(delayMs, 100, `round ${round}`)
            assert.isAtMost(delayMs, 1_050, `round ${round}`)
          }
        })
      )

      effect("no earlier because hedges that lose are given up soon", (hedging) =>
        Effect.sync(() => {
          learn(hedging)
          for (let i = 0; i < 100; i++) hedging.observe("a", 1, true, false)
          isAbout(hedging.delayMs("a"), 95)
        })
      )
    })

    describe("whether a late call is worth a second one", () => {
      sync("only where one that is no slower than usual would come in time", (hedging) => {
        learn(hedging)
        assert.isDefined(hedging.delayMs("a"))
        assert.isTrue(hedging.late("a", 60))
        assert.isFalse(hedging.late("a", 40))
        assert.isFalse(hedging.late("a", 0))
      })

      effect("not when everything is slow: seen within some tens of calls", (hedging) =>
        Effect.gen(function* () {
          for (let n = 0; n < 2_000; n++) {
            call(hedging, usual(n, 1, Infinity))
            yield* TestClock.adjust(10)
          }
          let hedges = 0
          for (let n = 0; n < 500; n++) {
            if (call(hedging, usual(n, 5, Infinity)).hedged) hedges++
            yield* TestClock.adjust(10)
          }
          assert.isAtLeast(hedges, 1)
          assert.isAtMost(hedges, 12)
          assert.isUndefined(hedging.delayMs("a"))
        })
      )

      effect("again when all is fast again, within a hundred calls", (hedging) =>
        Effect.gen(function* () {
          for (let n = 0; n < 1_000; n++) {
            call(hedging, usual(n))
            yield* TestClock.adjust(10)
          }
          for (let n = 0; n < 40; n++) call(hedging, usual(n, 5))
          assert.isUndefined(hedging.delayMs("a"))
          for (let n = 0; n < 100; n++) call(hedging, usual(n))
          assert.isDefined(hedging.delayMs("a"))
          assert.isTrue(hedging.late("a", Infinity))
        })
      )

      effect("again when slow is what is usual, by the new times, and without going to and fro", (hedging) =>
        Effect.gen(function* () {
          for (let n = 0; n < 6_000; n++) {
            call(hedging, usual(n))
            yield* TestClock.adjust(10)
          }
          let changes = 0
          let off = hedging.delayMs("a") === undefined
          for (let n = 0; n < 12_000; n++) {
            call(hedging, usual(n, 5))
            yield* TestClock.adjust(10)
            const isOff = hedging.delayMs("a") === undefined
            if (isOff !== off) changes++
            off = isOff
          }
          assert.isFalse(off)
          assert.isAtLeast(hedging.delayMs("a") ?? 0, 500)
          // Off once, on once.
          assert.strictEqual(changes, 2)
        })
      )

      sync("not because of a few stragglers", (hedging) => {
        let hedges = 0
        for (let n = 0; n < 10_000; n++) if (call(hedging, usual(n)).hedged) hedges++
        assert.isAtLeast(hedges, 350)
      })

      sync("where calls are given up before they answer, those count as late by then", (hedging) => {
        learn(hedging, "a", 10)
        assert.isDefined(hedging.delayMs("a"))
        for (let n = 0; n < 20; n++) hedging.observe("a", 500, true, false)
        assert.isUndefined(hedging.delayMs("a"))
      })

      sync("calls that were given up before they were late do not speak", (hedging) => {
        learn(hedging, "a", 10)
        assert.isDefined(hedging.delayMs("a"))
        for (let n = 0; n < 9; n++) hedging.late("a", Infinity)
        for (let n = 0; n < 1_000; n++) hedging.observe("a", 1, true, false)
        hedging.late("a", Infinity)
        assert.isUndefined(hedging.delayMs("a"))
      })
    })

    describe("what hedges may cost", () => {
      sync("nothing before anything was answered", (hedging) => {
        assert.isFalse(hedging.spend(1))
      })

      sync("a share of what answers cost", (hedging) => {
        let spent = 0
        for (let i = 0; i < 1_000; i++) {
          hedging.earn(150)
          if (hedging.spend(100)) spent += 100
        }
        assert.isAtMost(spent, 0.025 * 150_000)
        assert.isAtLeast(spent, 0.025 * 150_000 - 1_500)
      })

      sync("and what was not used is back", (hedging) => {
        for (let i = 0; i < 40; i++) hedging.earn(100)
        assert.isTrue(hedging.spend(100))
        assert.isFalse(hedging.spend(100))
        hedging.refund(100)
        assert.isTrue(hedging.spend(100))
      })
    })
  })
}
