import { assert, describe, it, vi } from "@effect/vitest"
import { algorithms } from "../../../../bench/limits/algorithms.ts"
import { cases } from "../../../../bench/limits/cases.ts"
import { main } from "../../../../bench/limits/main.ts"

const written = async (...argv: ReadonlyArray<string>): Promise<string> => {
  const lines: Array<string> = []
  const write = vi.spyOn(process.stdout, "write").mockImplementation((text) => {
    lines.push(String(text))
    return true
  })
  await main(argv)
  write.mockRestore()
  return lines.join("")
}

describe("bench limits", () => {
  it("--json writes an object a line and nothing else", async () => {
    const text = await written("--json", "--only", "fixed,ballast", "--case", "0.8x right")
    const rows = text
      .trim()
      .split("\n")
      .map((line): unknown => JSON.parse(line))
    // Streams and whole answers, two spans, two algorithms.
    assert.strictEqual(rows.length, 8)
    for (const row of rows) assert.hasAllKeys(row, ["mode", "case", "algorithm", "goodput", "late", "time", "limit"])
  })

  it("prints a table with a column for each algorithm", async () => {
    const text = await written("--only", "fixed", "--case", "0.8x low")
    assert.include(text, "0.8x low, settled")
    assert.notInclude(text, "vegas")
  })

  it("every case looks at time that it plays", () => {
    for (const streamed of [true, false]) {
      for (const { spans, world } of cases(streamed)) {
        for (const { fromS, toS } of spans) {
          assert.isBelow(fromS, toS)
          assert.isAtMost(toS, world.durationS)
        }
      }
    }
    assert.include(Object.keys(algorithms), "ballast")
  })
})
