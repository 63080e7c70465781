import { assert, describe, it } from "@effect/vitest"
import { Caution } from "../../../../src/layers/bulkhead/caution.ts"

const decided = (caution: Caution, refused: number, letIn: number) => {
  for (let i = 0; i < 500; i++) caution.decided(0, i % (refused + letIn) < refused)
}

describe("Caution", () => {
  it("is small while few are turned away, and so after a single refusal", () => {
    const caution = new Caution()
    assert.strictEqual(caution.read(0), 0.5)
    caution.decided(0, true)
    assert.strictEqual(caution.read(0), 0.5)
    decided(caution, 1, 9)
    assert.strictEqual(caution.read(0), 0.5)
  })

  it("is large where many are, until the overload is over", () => {
    const caution = new Caution()
    decided(caution, 1, 1)
    assert.isAbove(caution.read(0), 2)
    assert.strictEqual(caution.read(3_600_000), 0.5)
  })

  it("grows with waits in vain under overload, and slowly shrinks without", () => {
    const caution = new Caution()
    decided(caution, 1, 1)
    const before = caution.read(0)
    caution.waited(0, false)
    const after = caution.read(0)
    assert.isAbove(after, before)
    for (let i = 0; i < 250; i++) caution.waited(0, true)
    assert.isAtLeast(caution.read(0), before)
    for (let i = 0; i < 500; i++) caution.waited(0, true)
    assert.isBelow(caution.read(0), before)
  })

  it("has bounds", () => {
    const caution = new Caution()
    decided(caution, 1, 1)
    for (let i = 0; i < 100; i++) caution.waited(0, false)
    assert.strictEqual(caution.read(0), 6)
    for (let i = 0; i < 100_000; i++) caution.waited(0, true)
    assert.strictEqual(caution.read(0), 0.5)
  })

  it("learns nothing from waits in vain where there is no overload", () => {
    const caution = new Caution()
    for (let i = 0; i < 100; i++) caution.waited(0, false)
    decided(caution, 1, 1)
    assert.isAtMost(caution.read(0), 2.5)
  })
})
