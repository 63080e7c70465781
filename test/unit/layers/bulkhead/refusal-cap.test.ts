import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { RefusalCap } from "../../../../src/layers/bulkhead/refusal-cap.ts"

describe("RefusalCap", () => {
  it("refuses nobody before somebody was let through", () => {
    assert.isFalse(new RefusalCap().refuse(0))
  })

  it("refuses a fifth at most, and no less where everybody should be refused", () => {
    const cap = new RefusalCap()
    let refused = 0
    for (let i = 0; i < 1_000; i++) {
      if (cap.refuse(0)) refused++
      else cap.decided(0)
    }
    assert.approximately(refused, 200, 2)
  })

  it("whatever the times, a fifth of all decisions and one more are refused at most", () =>
    fc.assert(
      fc.property(fc.array(fc.record({ pass: fc.nat(20_000), refuse: fc.boolean() })), (moves) => {
        const cap = new RefusalCap()
        let now = 0
        let decisions = 0
        let refused = 0
        for (const { pass, refuse } of moves) {
          now += pass
          decisions++
          if (refuse && cap.refuse(now)) refused++
          else cap.decided(now)
          assert.isAtMost(refused, decisions / 5)
        }
      })
    ))

  it("forgets what was decided long ago", () => {
    const cap = new RefusalCap()
    for (let i = 0; i < 1_000; i++) cap.decided(0)
    assert.isFalse(cap.refuse(24 * 3_600_000))
  })
})
