/** What hedges cost: never more than their share of what answers have. */
import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { CostCap } from "../../../../src/layers/hedging/cost-cap.ts"

const Tokens = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 100_000 }))
const Steps = Schema.Array(Schema.Struct({ kind: Schema.Literals(["earn", "spend", "refund"]), tokens: Tokens }))

describe("the cost cap", () => {
  it.prop("whatever comes in which order, hedges cost at most the share of all answers", [Steps], ([steps]) => {
    const cap = new CostCap(0.025)
    let earned = 0
    let spent = 0
    let last = 0
    for (const { kind, tokens } of steps) {
      if (kind === "earn") {
        cap.earn(tokens)
        earned += tokens
      } else if (kind === "spend") {
        last = cap.spend(tokens) ? tokens : 0
        spent += last
      } else if (last > 0) {
        cap.refund(last)
        spent -= last
        last = 0
      }
      assert.isAtMost(spent, 0.025 * earned + 1e-6)
      assert.isAtLeast(cap.available, 0)
    }
  })

  it("begins with nothing", () => {
    const cap = new CostCap(0.025)
    assert.isFalse(cap.spend(1))
    assert.isTrue(cap.spend(0))
  })

  it("a steady stream of answers pays for its share of hedges in full", () => {
    const cap = new CostCap(0.025)
    let spent = 0
    for (let i = 0; i < 10_000; i++) {
      cap.earn(150)
      if (cap.spend(100)) spent += 100
    }
    assert.isAtLeast(spent, 0.025 * 10_000 * 150 - 10 * 150)
  })

  it("saves up no more than ten answers' worth", () => {
    const cap = new CostCap(0.025)
    for (let i = 0; i < 100_000; i++) cap.earn(150)
    assert.approximately(cap.available, 1_500, 1e-6)
  })

  it("a refund is not lost, and saves up no more than anything else", () => {
    const cap = new CostCap(0.5)
    cap.earn(100)
    assert.isTrue(cap.spend(50))
    assert.isFalse(cap.spend(50))
    cap.refund(50)
    assert.isTrue(cap.spend(50))
    cap.refund(1_000_000)
    assert.isAtMost(cap.available, 1_000)
  })

  it("where it has come short, says which share of calls it can pay a second one for", () => {
    const cap = new CostCap(0.025)
    for (let i = 0; i < 1_000; i++) cap.earn(120)
    assert.strictEqual(cap.affordable, 1, "there is enough")
    while (cap.spend(100));
    assert.approximately(cap.affordable, 0.03, 1e-3)
    cap.earn(120)
    assert.approximately(cap.affordable, 0.03, 1e-3, "still not much")
    for (let i = 0; i < 1_000; i++) cap.earn(120)
    assert.strictEqual(cap.affordable, 1, "enough again")
  })
})
