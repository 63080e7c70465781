/** A completion read to its end, however the provider sent it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { ProviderError } from "../../../src/domain/errors.ts"
import * as Usage from "../../../src/domain/usage.ts"
import { collect } from "../../../src/programs/collect.ts"
import { chunk, completionOf, streaming, whole } from "../../support/scripted-ballast.ts"

const from = { candidate: { provider: "one", model: "m1" } }
const cut = new ProviderError({ provider: "one", reason: { _tag: "Truncated", detail: "cut" } })

describe("collect", () => {
  it.effect("a whole answer is the answer", () =>
    Effect.gen(function* () {
      const completion = yield* whole(from, "Deep.")
      assert.deepStrictEqual(yield* collect(completion), completionOf("Deep.", Usage.make(100, 20)))
    })
  )

  it.effect("a stream is put together, the first chunk and the usage included", () =>
    Effect.gen(function* () {
      const rest = Stream.make(chunk("ep"), chunk("."), chunk(Usage.make(3, 2)))
      const answer = yield* collect(yield* streaming(from, "De", rest))
      assert.strictEqual(answer.choices[0]?.message["content"], "Deep.")
      assert.deepStrictEqual(answer.usage, Usage.make(3, 2))
      assert.strictEqual(answer.object, "chat.completion")
      assert.strictEqual(answer.id, "chatcmpl-1")
    })
  )

  it.effect("is the same however the stream is cut into pieces", () =>
    Effect.gen(function* () {
      const pieces = ["e", "e", "p", ".", " Very."].map(chunk)
      const answers = []
      for (const size of [1, 2, 5]) {
        const rest = Stream.fromIterable(pieces).pipe(Stream.rechunk(size))
        answers.push((yield* collect(yield* streaming(from, "D", rest))).choices[0]?.message["content"])
      }
      assert.deepStrictEqual(answers, ["Deep. Very.", "Deep. Very.", "Deep. Very."])
    })
  )

  it.effect("fails as its stream does: half an answer is none", () =>
    Effect.gen(function* () {
      const completion = yield* streaming(from, "De", Stream.concat(Stream.make(chunk("ep")), Stream.fail(cut)))
      assert.strictEqual(yield* Effect.flip(collect(completion)), cut)
    })
  )

  it.effect("reads nothing before it is run, and can be run again", () =>
    Effect.gen(function* () {
      let reads = 0
      const rest = Stream.fromEffect(
        Effect.sync(() => {
          reads++
          return chunk("ep")
        })
      )
      const answer = collect(yield* streaming(from, "De", rest))
      assert.strictEqual(reads, 0)
      assert.deepStrictEqual(yield* answer, yield* answer)
      assert.strictEqual(reads, 2)
    })
  )
})
