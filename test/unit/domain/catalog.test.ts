import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as fc from "fast-check"
import * as Catalog from "../../../src/domain/catalog.ts"
import * as Usage from "../../../src/domain/usage.ts"

const price: Catalog.Price = { input: 2_500_000, output: 10_000_000 }

const model = {
  alias: "m",
  kind: "chat",
  candidates: [{ provider: "p", model: "x" }],
  price,
  contextTokens: 1,
  maxOutputTokens: 0
}

describe("cost", () => {
  it("adds input and output, each at its own price", () => {
    assert.strictEqual(Catalog.cost(price, Usage.make(1_000_000, 0)), 2_500_000)
    assert.strictEqual(Catalog.cost(price, Usage.make(0, 1_000_000)), 10_000_000)
    assert.strictEqual(Catalog.cost(price, Usage.make(1, 1)), 3 + 10)
    assert.strictEqual(Catalog.cost({ input: 0, output: 0 }, Usage.make(9, 9)), 0)
  })

  it("never falls when more is used", () => {
    fc.assert(
      fc.property(fc.nat(100_000), fc.nat(100_000), fc.nat(1_000), (input, output, more) => {
        const cost = Catalog.cost(price, Usage.make(input, output))
        assert.isAtLeast(Catalog.cost(price, Usage.make(input + more, output)), cost)
        assert.isAtLeast(Catalog.cost(price, Usage.make(input, output + more)), cost)
      })
    )
  })
})

describe("Model", () => {
  const is = Schema.is(Catalog.Model)
  it("has a name, at least one candidate and no negative price", () => {
    assert.isTrue(is(model))
    for (const wrong of [
      { alias: "" },
      { kind: "image" },
      { candidates: [] },
      { candidates: [{ provider: "", model: "x" }] },
      { price: { input: -1, output: 0 } },
      { price: { input: 0.5, output: 0 } },
      { contextTokens: 0 },
      { maxOutputTokens: -1 }
    ]) {
      assert.isFalse(is({ ...model, ...wrong }), JSON.stringify(wrong))
    }
  })
})
