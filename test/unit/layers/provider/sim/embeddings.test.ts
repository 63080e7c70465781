import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Embeddings from "../../../../../src/layers/provider/sim/embeddings.ts"
import * as Engine from "../../../../../src/layers/provider/sim/engine.ts"
import type { EmbeddingRequest } from "../../../../../src/domain/embedding.ts"
import { within } from "./drive.ts"

const cosine = (a: string, b: string) => {
  const [x, y] = [Embeddings.vector(a, 256), Embeddings.vector(b, 256)]
  return x.reduce((sum, value, i) => sum + value * (y[i] ?? 0), 0)
}

const answer = (request: Partial<EmbeddingRequest>) =>
  Effect.gen(function* () {
    const engine = yield* Engine.make({ embedding: { dimension: 32, sigma: 0 } })
    const begun = Embeddings.begin(engine, "m", { model: "m", input: "x", ...request })
    return yield* within(100, Effect.scoped(Effect.flatMap(begun, ({ response }) => response)))
  })

describe("embeddings", () => {
  it("have length 1, whatever the text", () => {
    for (const text of ["a calm bay", "", "!!!", "水 и вода", "x".repeat(5000)]) {
      const vector = Embeddings.vector(text, 64)
      assert.strictEqual(vector.length, 64)
      assert.closeTo(Math.hypot(...vector), 1, 1e-6)
      assert.deepStrictEqual(vector, vector.map(Math.fround))
    }
  })

  it("are near for texts that share words, far for others", () => {
    const query = "how do I reset my password"
    assert(cosine(query, "Resetting a password: how to do it") > 0.3)
    assert(cosine(query, "opening hours of the harbour office") < 0.2)
    assert.closeTo(cosine(query, "How do I reset my PASSWORD?"), 1, 1e-6)
  })

  it.effect("come in the order of their inputs, and base64 is the same vector", () =>
    Effect.gen(function* () {
      const texts = ["one", "two", "three"]
      const plain = yield* answer({ input: texts })
      assert.deepStrictEqual(
        plain.data.map((item) => item.embedding),
        texts.map((text) => Embeddings.vector(text, 32))
      )
      const coded = yield* answer({ input: texts, encoding_format: "base64" })
      const bytes = Buffer.from(String(coded.data[1]?.embedding), "base64")
      assert.deepStrictEqual(
        Array.from({ length: 32 }, (_, i) => bytes.readFloatLE(i * 4)),
        plain.data[1]?.embedding
      )
    })
  )

  it.effect("take token ids, one list or many, and count them", () =>
    Effect.gen(function* () {
      const one = yield* answer({ input: [1, 2, 3] })
      assert.strictEqual(one.data.length, 1)
      assert.strictEqual(one.usage.prompt_tokens, 3)
      const many = yield* answer({ input: [[1, 2, 3], [4]], dimensions: 16 })
      assert.strictEqual(many.data.length, 2)
      assert.strictEqual(many.data[0]?.embedding.length, 16)
      assert.strictEqual(many.usage.total_tokens, 4)
    })
  )
})
