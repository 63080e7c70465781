import { assert, describe, it } from "@effect/vitest"
import * as Tally from "../../../../src/programs/demo/tally.ts"
import * as Traffic from "../../../../src/programs/demo/traffic.ts"

const visit = (tenant: string): Traffic.Visit => ({
  id: 0,
  atMs: 0,
  tenant,
  user: "u",
  prompt: "hello",
  outputTokens: 1
})

describe("tally", () => {
  it("takes percentiles by nearest rank, none of nothing", () => {
    const values = Array.from({ length: 100 }, (_, index) => 100 - index)
    assert.strictEqual(Tally.percentile(values, 0.5), 50)
    assert.strictEqual(Tally.percentile(values, 0.99), 99)
    assert.strictEqual(Tally.percentile([7], 0.5), 7)
    assert.isNull(Tally.percentile([], 0.5))
  })

  it("counts every ending once, and the small tenants apart from the whale", () => {
    const tally = Tally.make()
    for (let i = 0; i < 5; i++) tally.ask()
    tally.firstToken(300)
    tally.end(visit("acme"), "answered", 1_000)
    tally.end(visit("acme"), "refused", 20, "server_is_overloaded")
    tally.end(visit(Traffic.whale), "failed", 4_000, "server_is_overloaded")
    tally.end(visit(Traffic.whale), "left", 10_000)
    assert.deepStrictEqual(tally.live(), { asked: 5, waiting: 1, answered: 1, refused: 1, errors: 2 })
    const summary = tally.summary()
    assert.strictEqual(summary.answered, 1)
    assert.strictEqual(summary.refusedFast, 1)
    assert.strictEqual(summary.errors, 2)
    assert.strictEqual(summary.leftWaiting, 1)
    assert.strictEqual(summary.smallTenantsAnsweredShare, 0.5)
    assert.strictEqual(summary.p99Ms, 1_000)
    assert.deepStrictEqual(summary.codes, { server_is_overloaded: 2 })
  })
})
