import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as fc from "fast-check"
import * as Money from "../../../src/domain/money.ts"

const amount = fc.integer({ min: -1_000_000_000_000, max: 1_000_000_000_000 })

describe("Money", () => {
  it("is dollars times a million", () => {
    assert.strictEqual(Money.fromDollars(2.5), 2_500_000)
    assert.strictEqual(Money.fromDollars(0.000_000_6), 1)
    assert.strictEqual(Money.fromDollars(0.1 + 0.2), 300_000)
    assert.strictEqual(Money.toDollars(Money.zero), "0.000000")
    assert.strictEqual(Money.toDollars(1_250), "0.001250")
    assert.strictEqual(Money.toDollars(-1), "-0.000001")
  })

  it("survives the way to dollars and back", () => {
    fc.assert(
      fc.property(amount, (money) => assert.strictEqual(Money.fromDollars(Number(Money.toDollars(money))), money))
    )
  })

  it("rounds a price up to the next micro-dollar, and nothing costs nothing", () => {
    assert.strictEqual(Money.ofTokens(0, 2_500_000), 0)
    assert.strictEqual(Money.ofTokens(1, 150_000), 1)
    assert.strictEqual(Money.ofTokens(1_000_000, 150_000), 150_000)
    assert.strictEqual(Money.ofTokens(3, 500_000), 2)
  })

  it("is never less than the exact price, and by less than one more", () => {
    fc.assert(
      fc.property(fc.nat(1_000_000), fc.nat(100_000_000), (tokens, perMillion) => {
        const price = BigInt(Money.ofTokens(tokens, perMillion)) * 1_000_000n
        const exact = BigInt(tokens) * BigInt(perMillion)
        assert.isTrue(price >= exact && price - exact < 1_000_000n)
      })
    )
  })

  it("is a whole number", () => {
    const is = Schema.is(Money.Money)
    assert.isTrue(is(-5))
    for (const no of [0.5, Infinity, Number.NaN, 2 ** 53, "1"]) assert.isFalse(is(no), String(no))
  })
})
