import { assert, describe, it } from "@effect/vitest"
import { report } from "../../../../../bench/scenarios/s9/report.ts"
import type { Row } from "../../../../../bench/scenarios/s9/row.ts"
import { meets, misses, targets } from "../../../../../bench/scenarios/s9/targets.ts"

const row = (rest: Partial<Row> = {}): Row => ({
  scenario: "S9",
  variant: "rolling-restart",
  policy: "ballast",
  seed: 1,
  dropped_in_grace: 0,
  lost_silently: 0,
  success_ratio: 1,
  clean_exits: 2,
  ...rest
})

describe("a target", () => {
  it("is met up to its bound", () => {
    assert.isTrue(meets(row(), { figure: "clean_exits", atLeast: 2 }))
    assert.isFalse(meets(row(), { figure: "clean_exits", atLeast: 3 }))
    assert.isTrue(meets(row(), { figure: "clean_exits", atMost: 2 }))
    assert.isFalse(meets(row(), { figure: "clean_exits", atMost: 1 }))
  })

  it("is missed by what could not be measured", () => {
    for (const value of [null, Number.NaN, -Infinity, "0"]) {
      assert.isFalse(meets(row({ dropped_in_grace: value }), { figure: "dropped_in_grace", atMost: 0 }))
    }
    assert.isFalse(meets(row(), { figure: "no_such_figure", atMost: 0 }))
  })

  it("is for our rows only", () => {
    const bad = { dropped_in_grace: 3 }
    assert.deepStrictEqual(
      misses(row(bad)).map(({ figure }) => figure),
      ["dropped_in_grace"]
    )
    assert.deepStrictEqual(misses(row({ ...bad, policy: "promise-race" })), [])
  })

  it("exists for each variant", () => {
    for (const own of Object.values(targets)) assert.isAbove(own.length, 0)
  })
})

describe("the report", () => {
  it("says which target was missed, in which row", () => {
    const text = report([row(), row({ seed: 2, dropped_in_grace: 3 })])
    assert.match(text, /dropped_in_grace +1\.50 \[0 \.\. 3\] +- +<= 0 +MISSED in 1 of 2/)
    assert.match(text, /MISSED rolling-restart, seed 2: dropped_in_grace is 3/)
    assert.notInclude(text, "All targets met")
  })

  it("says so when all were met", () => {
    assert.include(report([row()]), "All targets met.")
  })
})
