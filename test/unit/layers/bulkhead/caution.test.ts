import { assert, describe, it } from "@effect/vitest"
import { Caution, History, leastCaution } from "../../../../src/layers/bulkhead/caution.ts"

/** Of each so many claims so many are turned away; those of a tenant with a history, where there is one. */
const decided = (caution: Caution, refused: number, of: number, history?: History) => {
  for (let i = 0; i < 500; i++) caution.decided(0, i % of < refused, history)
}

/** An overload, and a tenant that has its part of it. */
const overload = () => {
  const caution = new Caution()
  const history = new History()
  decided(caution, 1, 2, history)
  return { caution, history }
}

describe("Caution", () => {
  it("is small while few are turned away, and so after a single refusal", () => {
    const caution = new Caution()
    assert.strictEqual(caution.read(0, undefined), leastCaution)
    caution.decided(0, true, undefined)
    assert.strictEqual(caution.read(0, undefined), leastCaution)
    decided(caution, 1, 10)
    assert.strictEqual(caution.read(0, undefined), leastCaution)
  })

  it("is large where many are, until the overload is over", () => {
    for (const whose of ["nobody's", "its own", "a new"] as const) {
      const { caution, history } = overload()
      const of = whose === "nobody's" ? undefined : whose === "its own" ? history : new History()
      assert.isAbove(caution.read(0, of), 3)
      assert.strictEqual(caution.read(3_600_000, of), leastCaution)
    }
  })

  it("is small for a tenant that gets nearly all it asks for, whatever the others ask for", () => {
    const { caution, history } = overload()
    const small = new History()
    for (let i = 0; i < 500; i++) caution.decided(0, i % 2 === 0, i % 2 === 0 ? history : small)
    assert.strictEqual(caution.read(0, small), leastCaution)
    assert.isAbove(caution.read(0, history), 3)
    // A few claims that were let in do not make a tenant one of these.
    const few = new History()
    for (let i = 0; i < 3; i++) caution.decided(0, false, few)
    assert.isAbove(caution.read(0, few), 3)
  })

  it("grows with a tenant's waits in vain, and slowly shrinks without", () => {
    const { caution, history } = overload()
    const before = caution.read(0, history)
    caution.waited(0, false, history)
    const after = caution.read(0, history)
    assert.isAbove(after, before)
    for (let i = 0; i < 400; i++) caution.waited(0, true, history)
    assert.isAtLeast(caution.read(0, history), before)
    for (let i = 0; i < 500; i++) caution.waited(0, true, history)
    assert.isBelow(caution.read(0, history), before)
  })

  it("one tenant's waits in vain are nobody else's", () => {
    const { caution, history } = overload()
    const before = caution.read(0, undefined)
    for (let i = 0; i < 100; i++) caution.waited(0, false, history)
    assert.strictEqual(caution.read(0, undefined), before)
  })

  it("has bounds", () => {
    const { caution, history } = overload()
    for (let i = 0; i < 100; i++) caution.waited(0, false, history)
    assert.strictEqual(caution.read(0, history), 6)
    for (let i = 0; i < 100_000; i++) caution.waited(0, true, history)
    assert.strictEqual(caution.read(0, history), leastCaution)
  })

  it("learns nothing from waits in vain where there is no overload", () => {
    const caution = new Caution()
    const history = new History()
    for (let i = 0; i < 100; i++) caution.waited(0, false, history)
    assert.strictEqual(history.learned, new History().learned)
  })
})
