/** The books: each entry once, sums that add up, and all or nothing. */
import { assert, describe, layer } from "@effect/vitest"
import { Effect } from "effect"
import type { Layer } from "effect"
import type { StoreError } from "../../src/domain/errors.ts"
import { Ledger } from "../../src/services/ledger.ts"
import { all, dayMs, entry, noon } from "../support/ledger.ts"

/** `on` gives one Ledger to all tests; each of them has tenants of its own. */
export const suite = (name: string, on: Layer.Layer<Ledger, StoreError>, run = true) =>
  describe.skipIf(!run)(`Ledger: ${name}`, () => {
    layer(on, { excludeTestServices: true })((it) => {
      it.effect("what was never spent is nothing", () =>
        Effect.gen(function* () {
          const { sum } = yield* Ledger
          assert.deepStrictEqual(yield* sum(all("nobody")), { entries: 0, tokens: 0, microUsd: 0 })
        })
      )

      it.effect("an entry counts once, however often and by whichever way it is written", () =>
        Effect.gen(function* () {
          const { append, flush, pending, sum, write } = yield* Ledger
          const one = entry("twice", "twice-1")
          yield* write([one, one])
          yield* write([one, entry("twice", "twice-2")])
          assert.isTrue(append(one))
          assert.isTrue(append(entry("twice", "twice-3")))
          assert.isTrue(append(entry("twice", "twice-3")))
          yield* flush
          assert.strictEqual(pending(), 0)
          assert.deepStrictEqual(yield* sum(all("twice")), { entries: 3, tokens: 45, microUsd: 300 })
        })
      )

      it.effect("an expired reservation and its correction are two entries of one id", () =>
        Effect.gen(function* () {
          const { sum, write } = yield* Ledger
          yield* write([
            entry("late", "late-1", { kind: "expired", microUsd: 500, inputTokens: 50, outputTokens: 50 }),
            entry("late", "late-1", { kind: "corrected", microUsd: -420, inputTokens: -40, outputTokens: -45 })
          ])
          assert.deepStrictEqual(yield* sum(all("late")), { entries: 2, tokens: 15, microUsd: 80 })
        })
      )

      it.effect("a sum is of one tenant, one feature, from a time until before another", () =>
        Effect.gen(function* () {
          const { sum, write } = yield* Ledger
          const midnight = noon - dayMs / 2
          const at = (id: string, atMs: number, feature: string) => entry("range", id, { atMs, feature })
          yield* write([
            at("r1", midnight - 1, "a"),
            at("r2", midnight, "a"),
            at("r3", noon, "b"),
            at("r4", midnight + dayMs - 1, "a"),
            at("r5", midnight + dayMs, "a"),
            entry("range'; --", "r6", { atMs: noon })
          ])
          const count = (fromMs: number, toMs: number, feature?: string) =>
            Effect.map(sum({ ...all("range"), fromMs, toMs, feature }), ({ entries }) => entries)
          assert.strictEqual(yield* count(midnight, midnight + dayMs), 3)
          assert.strictEqual(yield* count(midnight, midnight + dayMs, "a"), 2)
          assert.strictEqual(yield* count(midnight, midnight + dayMs, "c"), 0)
          assert.strictEqual(yield* count(midnight + 1, midnight + dayMs), 2)
          assert.strictEqual(yield* count(midnight - 1, midnight + dayMs + 1), 5)
          assert.strictEqual(yield* count(noon, noon), 0)
          assert.strictEqual(yield* count(noon, noon + 1, "b"), 1)
        })
      )

      it.effect("times of any age are taken, and fractions of a millisecond stay what they are", () =>
        Effect.gen(function* () {
          const { sum, write } = yield* Ledger
          const times = [0, 1, Date.UTC(1999, 11, 31), Date.now(), Date.now() + 0.25, Date.UTC(2031, 0, 1)]
          const entries = times.map((atMs, i) => entry("old", `old-${i}`, { atMs }))
          yield* write(entries)
          yield* write(entries)
          assert.strictEqual((yield* sum({ ...all("old"), toMs: Date.UTC(2100, 0) })).entries, times.length)
        })
      )

      it.effect("one that is no entry: nothing of its batch is written, and nothing is quoted", () =>
        Effect.gen(function* () {
          const { append, sum, write } = yield* Ledger
          const wrong = [
            { microUsd: 0.5 },
            { microUsd: Number.NaN },
            { microUsd: 2 ** 60 },
            { inputTokens: Infinity },
            { atMs: Number.NaN },
            { atMs: 1e18 },
            { id: "" },
            { id: "s3cret\0" },
            { id: "s3cret".repeat(1_000) },
            { tenant: "" as never }
          ]
          for (const fields of wrong) {
            const broken = entry("broken", "broken-2", { outcome: "s3cret", ...fields })
            const error = yield* Effect.flip(write([entry("broken", "broken-1"), broken]))
            assert.strictEqual(error.reason._tag, "Invalid")
            assert.notInclude(error.message, "s3cret")
            assert.isFalse(append(broken))
          }
          assert.strictEqual((yield* sum(all("broken"))).entries, 0)
        })
      )

      it.effect("whatever text callers send as user or feature, the money is booked", () =>
        Effect.gen(function* () {
          const { append, flush, sum, write } = yield* Ledger
          const texts = ["", "\0", "a\0b", "\ud800", "é'\"\\\n\u2028", "x".repeat(100_000), "{}", "NULL"]
          yield* write(texts.slice(0, 4).map((user, i) => entry("texts", `texts-${i}`, { user, feature: user })))
          for (const [i, user] of texts.slice(4).entries()) {
            assert.isTrue(append(entry("texts", `texts-b-${i}`, { user, feature: user, promptVersion: user })))
          }
          yield* flush
          assert.strictEqual((yield* sum(all("texts"))).entries, texts.length)
          assert.strictEqual((yield* sum({ ...all("texts"), feature: "NULL" })).entries, 1)
        })
      )

      it.effect("thousands at once, and sums as large as a number can be exact", () =>
        Effect.gen(function* () {
          const { append, flush, sum, write } = yield* Ledger
          const many = Array.from({ length: 2_500 }, (_, i) =>
            entry("many", `many-${i}`, { microUsd: 3_000_000_000_000, inputTokens: 2 ** 40 })
          )
          yield* write(many)
          for (const each of many) assert.isTrue(append({ ...each, id: `${each.id}-b`, microUsd: 1 }))
          yield* flush
          assert.deepStrictEqual(yield* sum(all("many")), {
            entries: 5_000,
            tokens: 5_000 * (2 ** 40 + 5),
            microUsd: 2_500 * 3_000_000_000_000 + 2_500
          })
          yield* write([])
        })
      )
    })
  })
