import { assert, describe, it } from "@effect/vitest"
import { Baseline } from "../../../../src/layers/bulkhead/baseline.ts"

const bound = (inFlight: number) => ({ inFlight, bound: true, least: false })
const idle = { inFlight: 2, bound: false, least: false }

describe("Baseline", () => {
  it("is the first median, and follows lower ones within a few windows", () => {
    const baseline = new Baseline(1.15)
    assert.strictEqual(baseline.ratio(300, bound(10)), 1)
    for (let i = 0; i < 15; i++) baseline.ratio(100, bound(10))
    assert.approximately(baseline.ratio(100, bound(10)), 1, 0.02)
  })

  it("one low window does not pull it down altogether", () => {
    const baseline = new Baseline(1.15)
    baseline.ratio(300, bound(10))
    baseline.ratio(10, bound(10))
    assert.isBelow(baseline.ratio(300, bound(10)), 1.5)
  })

  it("does not rise under an overload that lasts, as long as it is ours", () => {
    const baseline = new Baseline(1.15)
    baseline.ratio(300, bound(10))
    for (let i = 0; i < 10_000; i++) assert.approximately(baseline.ratio(900, bound(30)), 3, 1e-9)
    // Nor while times are a little long only.
    for (let i = 0; i < 10_000; i++) baseline.ratio(340, bound(11))
    assert.approximately(baseline.ratio(300, bound(10)), 1, 0.02)
  })

  it("rises slowly while places are unused", () => {
    const baseline = new Baseline(1.15)
    baseline.ratio(300, idle)
    for (let i = 0; i < 10; i++) baseline.ratio(600, idle)
    assert.isAbove(baseline.ratio(600, idle), 1.7)
    for (let i = 0; i < 600; i++) baseline.ratio(600, idle)
    assert.isBelow(baseline.ratio(600, idle), 1.05)
  })

  it("rises at once when far fewer calls have not helped", () => {
    const baseline = new Baseline(1.15)
    baseline.ratio(300, bound(40))
    assert.approximately(baseline.ratio(600, bound(40)), 2, 1e-9)
    assert.approximately(baseline.ratio(590, bound(30)), 590 / 300, 1e-9)
    // More than half of them are left: no proof yet. And one window is none.
    for (let i = 0; i < 10; i++) assert.isAbove(baseline.ratio(595, bound(22)), 1.9)
    // Until the proof is complete the limit is to stay where it is.
    assert.strictEqual(baseline.ratio(595, bound(15)), 1.15)
    assert.strictEqual(baseline.ratio(600, bound(19)), 1)
    assert.approximately(baseline.ratio(600, bound(15)), 1, 1e-9)
  })

  it("does not where fewer calls help: the times fall with them", () => {
    const baseline = new Baseline(1.15)
    baseline.ratio(300, bound(10))
    let inFlight = 80
    for (; inFlight > 12; inFlight *= 0.8) {
      const ratio = baseline.ratio(30 * inFlight, bound(inFlight))
      assert.approximately(ratio, inFlight / 10, 1e-6)
    }
  })

  it("rises at the floor, where there is nothing left to give up", () => {
    const baseline = new Baseline(1.15)
    const floor = { inFlight: 1, bound: true, least: true }
    baseline.ratio(300, floor)
    const ratios = Array.from({ length: 5 }, () => baseline.ratio(900, floor))
    assert.deepStrictEqual(ratios, [3, 1.15, 1, 1, 1])
  })

  it("a proof is given up when fewer calls have helped after all", () => {
    const baseline = new Baseline(1.15)
    baseline.ratio(300, bound(40))
    baseline.ratio(1_200, bound(40))
    assert.strictEqual(baseline.ratio(1_190, bound(15)), 1.15)
    assert.approximately(baseline.ratio(450, bound(15)), 1.5, 1e-9)
  })

  it("a spell of long times that ends begins no proof", () => {
    const baseline = new Baseline(1.15)
    baseline.ratio(300, bound(40))
    baseline.ratio(600, bound(40))
    baseline.ratio(300, bound(10))
    assert.approximately(baseline.ratio(600, bound(10)), 2, 1e-9)
    assert.approximately(baseline.ratio(600, bound(10)), 2, 1e-9)
    assert.approximately(baseline.ratio(600, bound(10)), 2, 1e-9)
  })
})
