import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { countTokens } from "gpt-tokenizer/encoding/o200k_base"
import * as O200k from "../../../../src/layers/token-counter/o200k.ts"

describe("O200k", () => {
  it.effect("counts as the tokenizer does, over all texts", () =>
    Effect.gen(function* () {
      const texts = ["Hello there, how are you?", "", "第二条消息", "const x = 1\n"]
      const expected = texts.reduce((sum, text) => sum + countTokens(text), 0)
      assert.strictEqual(yield* O200k.count(texts), expected)
    })
  )

  it.effect("control tokens in a caller's text are text", () =>
    Effect.gen(function* () {
      assert.isAbove((yield* O200k.count(["<|endoftext|><|im_start|>"])) ?? 0, 2)
    })
  )

  it.effect("long runs without a break do not hold the event loop", () =>
    Effect.gen(function* () {
      // Unsplit, each of these takes many seconds.
      for (const run of ["a", " ", ".", "的", "aB1-"]) {
        assert.isAbove((yield* O200k.count([run.repeat(100_000 / run.length)])) ?? 0, 300)
      }
    })
  )

  it.effect("long ordinary texts are exact to a thousandth", () =>
    Effect.gen(function* () {
      const text = "The answer has to come before the customer loses patience. ".repeat(5_000)
      const expected = countTokens(text)
      assert.approximately((yield* O200k.count([text])) ?? 0, expected, expected / 1_000)
    })
  )
})
