/** What a permit adds to the cell behind it: it ends once, and says nothing afterwards. */
import { assert, describe, it } from "@effect/vitest"
import { Cell } from "../../../../src/layers/bulkhead/cell.ts"
import type { Limit } from "../../../../src/layers/bulkhead/limit.ts"
import { ask, policyOf } from "../../../conformance/bulkhead-kit.ts"

const heard = () => {
  const reports: Array<string> = []
  const limit: Limit = {
    current: 2,
    taken: (inFlight) => reports.push(`taken ${inFlight}`),
    firstToken: (_now, ms, inFlight) => reports.push(`first ${ms} of ${inFlight}`),
    pace: (_now, tokens, ms) => reports.push(`pace ${tokens} ${ms}`),
    answered: (_now, tokens, ms) => reports.push(`answered ${tokens} ${ms}`),
    dropped: (now) => reports.push(`dropped ${now}`)
  }
  const timers = { now: () => 5, make: () => ({ arm: () => {}, disarm: () => {} }) }
  const cell = new Cell(policyOf({}), limit, timers, () => 0.5)
  return { reports, cell, permit: cell.tryTake(ask(), 5) ?? assert.fail("a place was free") }
}

describe("Permit", () => {
  it("passes reports on until it is released", () => {
    const { cell, permit, reports } = heard()
    const say = () => {
      permit.firstToken(300)
      permit.pace(16, 160)
      permit.answered(10, 900)
      permit.dropped()
    }
    say()
    permit.release()
    say()
    permit.release()
    assert.deepStrictEqual(reports, ["taken 1", "first 300 of 1", "pace 16 160", "answered 10 900", "dropped 5"])
    assert.strictEqual(cell.state.inFlight, 0)
  })

  it("gives a place back unused once, and takes its charge with it", () => {
    const { cell, permit } = heard()
    const other = cell.tryTake(ask({ tenant: "other" }), 5)
    assert.strictEqual(permit.tenant.finish, 100)
    permit.unused()
    assert.strictEqual(permit.tenant.finish, 0)
    permit.unused()
    permit.release()
    assert.strictEqual(cell.state.inFlight, 1)
    other?.release()
    assert.strictEqual(cell.state.inFlight, 0)
  })

  it("settles once, and never below nothing", () => {
    const { permit } = heard()
    permit.settle(-5)
    permit.settle(700)
    assert.strictEqual(permit.tenant.finish, 0)
  })
})
