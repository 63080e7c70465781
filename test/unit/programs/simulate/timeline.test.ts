import { assert, describe, it } from "@effect/vitest"
import type { Picture } from "../../../../src/programs/simulate/picture.ts"
import * as Timeline from "../../../../src/programs/simulate/timeline.ts"

const picture: Picture = {
  title: "storm",
  subtitle: "one process",
  durationS: 60,
  stepS: 5,
  marks: [{ name: "outage", fromS: 20, toS: 30 }],
  panels: [
    {
      title: "All visits",
      offered: [8, 8, 8, 8, 8, 8, 8, 4, 0, 8, 8, 8],
      lines: [
        { name: "ballast", values: [8, 8, 8, 8, 1, 0.001, 4, 4, 0, 8, 8, 8] },
        { name: "a-much-longer-name", values: [8, 8, 8, 8, 0, 0, 0, 0, 0, 0, 0, 0] }
      ]
    }
  ]
}

describe("timeline", () => {
  it("has a bar for every step, of what was offered in it, and the marks below", () => {
    assert.deepStrictEqual(Timeline.lines(picture), [
      "All visits: visits answered in time, of those offered (7.0/s on average), every 5 s",
      "offered             ███████▄ ███",
      "ballast             ████▁▁▄█ ███",
      "a-much-longer-name  ████____ ___",
      "outage                  ^^",
      "                    0         50 s"
    ])
  })

  it("shows a little as more than nothing, and fits a terminal", () => {
    const long = { ...picture, durationS: 60, stepS: 1 }
    const values = Array.from({ length: Timeline.width }, () => 0.01)
    const lines = Timeline.lines({
      ...long,
      panels: [{ title: "x", offered: values.map(() => 8), lines: [{ name: "a", values }] }]
    })
    assert.include(lines[2], "▁".repeat(60))
    for (const line of lines.slice(1)) assert.isAtMost(line.length, 80)
  })

  it("puts an empty line between the groups", () => {
    const panels = [...picture.panels, ...picture.panels]
    assert.strictEqual(Timeline.lines({ ...picture, panels })[6], "")
  })
})
