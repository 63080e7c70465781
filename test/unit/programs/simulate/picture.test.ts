import { assert, describe, it } from "@effect/vitest"
import * as Picture from "../../../../src/programs/simulate/picture.ts"
import type { Second } from "../../../../src/programs/simulate/tally.ts"
import { scenario } from "../../../support/scenario.ts"

const second = (offered: number, good: number): Second => ({ offered, good, late: 0, refused: 0, failed: 0, calls: 0 })
const seconds = (count: number, offered: number, good: number) =>
  Array.from({ length: count }, () => second(offered, good))

describe("stepOf", () => {
  it("is the finest round step that leaves few enough", () => {
    assert.strictEqual(Picture.stepOf(60, 60), 1)
    assert.strictEqual(Picture.stepOf(61, 60), 2)
    assert.strictEqual(Picture.stepOf(180, 60), 5)
    assert.strictEqual(Picture.stepOf(0.5, 60), 1)
    assert.isAtMost(1e7 / Picture.stepOf(1e7, 60), 60)
  })
})

describe("picture", () => {
  const of = (durationS: number, tracks: ReadonlyArray<Picture.Track>, most = 60) =>
    Picture.make(
      scenario({ durationS, marks: [{ name: "trigger", fromS: 1, toS: 2 }] }),
      "below the title",
      tracks,
      most
    )

  it("gives visits a second by step; the last step may be short", () => {
    const { panels, stepS } = of(
      12,
      [{ policy: "a", group: "all", seconds: [...seconds(10, 10, 5), ...seconds(2, 4, 2)] }],
      3
    )
    assert.strictEqual(stepS, 5)
    assert.deepStrictEqual(panels, [{ title: "all", offered: [10, 10, 4], lines: [{ name: "a", values: [5, 5, 2] }] }])
  })

  it("takes the mean of several runs of a policy, and a panel for each group", () => {
    const tracks = [
      { policy: "a", group: "small", seconds: seconds(2, 10, 10) },
      { policy: "a", group: "whale", seconds: seconds(2, 90, 30) },
      { policy: "b", group: "small", seconds: seconds(2, 10, 0) },
      { policy: "b", group: "whale", seconds: seconds(2, 90, 50) },
      { policy: "a", group: "small", seconds: seconds(2, 20, 14) }
    ]
    const { marks, panels, subtitle, title } = of(2, tracks)
    assert.deepStrictEqual(
      panels.map((panel) => [
        panel.title,
        panel.offered[0],
        ...panel.lines.map(({ name, values }) => [name, values[0]])
      ]),
      [
        ["small", 15, ["a", 12], ["b", 0]],
        ["whale", 90, ["a", 30], ["b", 50]]
      ]
    )
    assert.deepStrictEqual([title, subtitle, marks.length], ["small", "below the title", 1])
  })
})
