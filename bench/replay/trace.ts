/** Reading a recorded trace: a CSV with `t_s,input_tokens,output_tokens` in its first three columns. */
import { readFileSync } from "node:fs"

/** One recorded request: seconds after the start of the trace, and its sizes in tokens. */
export interface Row {
  readonly atS: number
  readonly inputTokens: number
  readonly outputTokens: number
}

/** The first `count` rows of `file`; `undefined` where the file is missing. */
export const read = (file: string, count: number): ReadonlyArray<Row> | undefined => {
  let text: string
  try {
    text = readFileSync(file, "utf8")
  } catch {
    return undefined
  }
  return text
    .split("\n")
    .slice(1, count + 1)
    .filter((line) => line.trim() !== "")
    .map((line, index) => {
      const [atS = Number.NaN, inputTokens = Number.NaN, outputTokens = Number.NaN] = line.split(",").map(Number)
      if (Number.isNaN(atS + inputTokens + outputTokens))
        throw new Error(`${file}:${index + 2}: not a trace row: ${line}`)
      return { atS, inputTokens, outputTokens }
    })
}
