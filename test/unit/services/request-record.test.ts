import { assert, describe, it } from "vitest"
import * as Caller from "../../../src/domain/caller.ts"
import { isRefusal, rowOfKey } from "../../../src/domain/error-table.ts"
import * as RequestRecord from "../../../src/services/request-record.ts"
import { entries } from "../../support/error-samples.ts"

const fresh = () => RequestRecord.make({ id: "req_1", operation: "chat", caller: Caller.anonymous, startedAt: 0 })

describe("degrade", () => {
  it("notes the rung and why", () => {
    const record = fresh()
    assert.deepStrictEqual([record.rung, record.degradedReason], ["full", undefined])
    RequestRecord.degrade(record, "shorter", "pressure")
    assert.deepStrictEqual([record.rung, record.degradedReason], ["shorter", "pressure"])
  })
})

describe("fail", () => {
  it.each(entries.map(([key]) => key))("%s: refused, unless it was the client's own mistake", (key) => {
    const record = fresh()
    RequestRecord.fail(record, key)
    const refused = isRefusal(rowOfKey(key).status)
    assert.deepStrictEqual(
      [record.outcome, record.rung, record.degradedReason],
      [key, refused ? "refused" : "full", refused ? key : undefined]
    )
  })

  it.each(["cancelled", "defect"] as const)("%s is no rung", (outcome) => {
    const record = fresh()
    RequestRecord.fail(record, outcome)
    assert.deepStrictEqual([record.outcome, record.rung], [outcome, "full"])
  })
})
