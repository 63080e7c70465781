import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Trace from "../../../../../bench/scenarios/s2/trace.ts"

describe("recorded requests", () => {
  it("are read in the order of time, from the first on; rows without sense are passed over", () => {
    const text = "t_s,input_tokens,output_tokens\r\n5,10,2\n3,7,0\n\nx,1,1\n4,,1\n6,-1,1\n"
    assert.deepStrictEqual(Trace.parse(text), [
      { atS: 0, inputTokens: 7, outputTokens: 1 },
      { atS: 2, inputTokens: 10, outputTokens: 2 }
    ])
    assert.deepStrictEqual(Trace.parse(""), [])
  })

  it("are found in the folder of traces and in those inside; the same name twice is told apart", () => {
    const folder = mkdtempSync(join(tmpdir(), "ballast-s2-"))
    try {
      assert.deepStrictEqual(Trace.find(folder), [])
      const rows = "t_s,input_tokens,output_tokens\n0,1,1\n9,1,1\n"
      for (const part of ["dev", "other"]) {
        mkdirSync(join(folder, "traces", part), { recursive: true })
        writeFileSync(join(folder, "traces", part, "azure2023_code.csv"), rows)
        writeFileSync(join(folder, "traces", part, "mooncake.csv"), rows)
      }
      writeFileSync(join(folder, "traces", "azure2023_empty.csv"), "t_s,input_tokens,output_tokens\n")
      assert.deepStrictEqual(
        Trace.find(folder).map(({ name }) => name),
        ["azure2023_code", "azure2023_code-other"]
      )
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})
