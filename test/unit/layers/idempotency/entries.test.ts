import { assert, describe, it } from "@effect/vitest"
import { Entries } from "../../../../src/layers/idempotency/entries.ts"
import { defaults } from "../../../../src/layers/idempotency/limits.ts"

const answerOf = (text: string) => ({ status: 200, headers: [], body: [text] })

describe("entries", () => {
  it("turn out the oldest answers beyond the most there may be", () => {
    const entries = new Entries({ ...defaults, entries: 2 })
    for (const id of ["a", "b", "c"]) entries.keep(id, "f", answerOf(id), 1, 0)
    assert.deepStrictEqual(
      ["a", "b", "c"].map((id) => entries.find(id, "f", 0)._tag),
      ["Unknown", "Answered", "Answered"]
    )
  })

  it("turn out the oldest answers beyond the bytes there may be, one that is too large alone included", () => {
    const entries = new Entries({ ...defaults, bytes: 3_000 })
    entries.keep("a", "f", answerOf("a"), 1_000, 0)
    entries.keep("b", "f", answerOf("b"), 1_000, 0)
    assert.strictEqual(entries.sizes.bytes, 3_000)
    entries.keep("c", "f", answerOf("c"), 1, 0)
    assert.isFalse(entries.has("a"))
    assert.isTrue(entries.has("b"))
    entries.keep("d", "f", answerOf("d"), 4_000, 0)
    assert.deepStrictEqual(entries.sizes, { running: 0, answered: 0, bytes: 0 })
  })

  it("count an answer that is kept again once, and it is the newest then", () => {
    const entries = new Entries({ ...defaults, entries: 2 })
    entries.keep("a", "f", answerOf("1"), 10, 0)
    entries.keep("b", "f", answerOf("b"), 10, 0)
    entries.keep("a", "g", answerOf("2"), 20, 0)
    assert.strictEqual(entries.sizes.bytes, 30 + 2 * 500)
    entries.keep("c", "f", answerOf("c"), 10, 0)
    assert.isFalse(entries.has("b"))
    assert.deepStrictEqual(entries.find("a", "g", 0), { _tag: "Answered", answer: answerOf("2") })
  })

  it("never turn out what runs, and forget it when it is freed", () => {
    const entries = new Entries({ ...defaults, entries: 1, bytes: 1 })
    for (const id of ["a", "b", "c"]) entries.take(id, "f")
    assert.strictEqual(entries.sizes.running, 3)
    assert.strictEqual(entries.find("a", "f", 0)._tag, "InFlight")
    for (const id of ["a", "b", "c"]) entries.free(id)
    assert.strictEqual(entries.sizes.running, 0)
  })

  it("give their room back when their life is over", () => {
    const entries = new Entries({ ...defaults, lifeMs: 100 })
    entries.keep("a", "f", answerOf("a"), 1, 0)
    entries.keep("b", "f", answerOf("b"), 1, 50)
    assert.strictEqual(entries.find("c", "f", 100)._tag, "Unknown")
    assert.strictEqual(entries.sizes.answered, 1)
    assert.strictEqual(entries.find("b", "f", 149)._tag, "Answered")
    assert.strictEqual(entries.find("b", "f", 150)._tag, "Unknown")
    assert.strictEqual(entries.sizes.bytes, 0)
  })
})
