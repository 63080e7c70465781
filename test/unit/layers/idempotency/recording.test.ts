import { assert, describe, it } from "@effect/vitest"
import { Recording } from "../../../../src/layers/idempotency/recording.ts"

describe("a recording", () => {
  it("is the answer, in few pieces", () => {
    const recording = new Recording(1_000_000)
    recording.begin(200, ["a", "b"])
    for (let at = 0; at < 10_000; at++) recording.append("0123456789")
    const answer = recording.answer()
    assert.strictEqual(answer?.body.join(""), "0123456789".repeat(10_000))
    assert.isBelow(answer?.body.length ?? 0, 8)
    assert.strictEqual(recording.size, 100_002)
  })

  it("is none before its head, and none beyond its bound, which it keeps nothing of", () => {
    const recording = new Recording(10)
    recording.append("abc")
    assert.isUndefined(recording.answer())
    recording.begin(200, ["n", "v"])
    recording.append("€")
    assert.deepStrictEqual(recording.answer()?.body, ["abc€"])
    recording.append("€")
    assert.isUndefined(recording.answer())
    recording.append("x")
    assert.isUndefined(recording.answer())
  })

  it("does not change with the list of headers it was given", () => {
    const headers = ["a", "b"]
    const recording = new Recording(10)
    recording.begin(200, headers)
    headers.push("content-length", "3")
    assert.deepStrictEqual(recording.answer()?.headers, ["a", "b"])
  })
})
