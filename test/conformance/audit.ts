/** What is written down stays as it was, newest first. */
import { assert, describe, layer } from "@effect/vitest"
import { Effect, Struct } from "effect"
import type { Layer } from "effect"
import type { StoreError } from "../../src/domain/errors.ts"
import { Audit } from "../../src/services/audit.ts"

const act = { actor: "cli:ada", action: "budget.set", subject: "acme", before: null, after: null, reason: "new plan" }

/** `on` gives one Audit to all tests; there may be acts of others in it. */
export const suite = (name: string, on: Layer.Layer<Audit, StoreError>, run = true) =>
  describe.skipIf(!run)(`Audit: ${name}`, () => {
    layer(on, { excludeTestServices: true })((it) => {
      it.effect("an act is read back as it was written, with its time, newest first", () =>
        Effect.gen(function* () {
          const audit = yield* Audit
          const values = [{ a: [1, "é'\"\\", null], b: { c: true } }, "text", 12.5, false, [], null]
          const before = Date.now()
          for (const value of values) yield* audit.record({ ...act, before: value, after: { was: value } })
          const found = yield* audit.list(values.length)
          assert.deepStrictEqual(
            found.map((entry) => Struct.omit(entry, ["atMs"])),
            values.map((value) => ({ ...act, before: value, after: { was: value } })).toReversed()
          )
          // One machine, one clock: but the store's has its own resolution.
          for (const { atMs } of found)
            assert.isTrue(atMs >= before - 1_000 && atMs <= Date.now() + 1_000, String(atMs))
        })
      )

      it.effect("the list is as long as asked for, at most", () =>
        Effect.gen(function* () {
          const audit = yield* Audit
          yield* audit.record({ ...act, subject: "first" })
          yield* audit.record({ ...act, subject: "second" })
          assert.deepStrictEqual(
            (yield* audit.list(2)).map(({ subject }) => subject),
            ["second", "first"]
          )
          assert.lengthOf(yield* audit.list(1), 1)
          for (const limit of [0, -1, Number.NaN]) assert.lengthOf(yield* audit.list(limit), 0)
        })
      )

      it.effect("what is changed after it was written down is not changed in the books", () =>
        Effect.gen(function* () {
          const audit = yield* Audit
          const after = { cap: 1 }
          yield* audit.record({ ...act, after })
          after.cap = 2
          assert.deepStrictEqual((yield* audit.list(1))[0]?.after, { cap: 1 })
        })
      )

      it.effect("an act that cannot be written down is refused, quoting nothing, and nothing is written", () =>
        Effect.gen(function* () {
          const audit = yield* Audit
          yield* audit.record({ ...act, subject: "the last one" })
          const circle: Record<string, unknown> = { secret: "s3cret" }
          circle["self"] = circle
          const wrong = [
            { ...act, actor: "" },
            { ...act, action: "" },
            { ...act, after: circle },
            { ...act, after: 1n },
            { ...act, subject: "s3cret\0" },
            { ...act, before: "s3cret\0" }
          ]
          for (const entry of wrong) {
            const error = yield* Effect.flip(audit.record(entry))
            assert.strictEqual(error.reason._tag, "Invalid")
            assert.notInclude(error.message, "s3cret")
          }
          assert.strictEqual((yield* audit.list(1))[0]?.subject, "the last one")
        })
      )

      it.effect("undefined is nothing", () =>
        Effect.gen(function* () {
          const audit = yield* Audit
          yield* audit.record({ ...act, before: undefined, after: { a: undefined, b: 1 } })
          const [last] = yield* audit.list(1)
          assert.deepStrictEqual([last?.before, last?.after], [null, { b: 1 }])
        })
      )
    })
  })
