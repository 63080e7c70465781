import { assert, describe, it } from "@effect/vitest"
import * as Traffic from "../../../../src/programs/demo/traffic.ts"

const options = { seed: 7, requests: 500, durationMs: 20_000 }

describe("traffic", () => {
  it("is the same for the same seed, and another for another", () => {
    assert.deepStrictEqual(Traffic.make(options), Traffic.make(options))
    assert.notDeepEqual(Traffic.make(options), Traffic.make({ ...options, seed: 8 }))
  })

  it("has every request, in order, inside the duration", () => {
    const visits = Traffic.make(options)
    assert.strictEqual(visits.length, 500)
    for (const [index, visit] of visits.entries()) {
      assert.isAtLeast(visit.atMs, visits[index - 1]?.atMs ?? 0)
      assert.isAtMost(visit.atMs, options.durationMs)
      assert.include(Traffic.tenants, visit.tenant)
    }
  })

  it("rises in the morning, and the whale's batch comes all at once", () => {
    const visits = Traffic.make(options)
    const within = (from: number, to: number) =>
      visits.filter(({ atMs }) => from * options.durationMs <= atMs && atMs < to * options.durationMs)
    assert.isBelow(within(0, 0.08).length * 2, within(0.2, 0.28).length)
    const whale = visits.filter(({ tenant }) => tenant === Traffic.whale)
    assert.strictEqual(whale.length, 50)
    assert.isBelow((whale.at(-1)?.atMs ?? 0) - (whale[0]?.atMs ?? 0), 0.1 * options.durationMs)
  })

  it("works for a single request", () => {
    assert.strictEqual(Traffic.make({ ...options, requests: 1 }).length, 1)
  })
})
