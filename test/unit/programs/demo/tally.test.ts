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
  it("sums up times in whole ms, none of nothing", () => {
    const tally = Tally.make()
    assert.isNull(tally.summary().p50Ms)
    for (const ms of [10.4, 20.6]) tally.end(visit("acme"), "answered", ms)
    assert.strictEqual(tally.summary().p50Ms, 10)
    assert.strictEqual(tally.summary().p99Ms, 21)
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
