/**
 * How many tokens the calls of S6 take: those of Azure's code completion trace (`azure2023_code.csv`: t_s,
 * input_tokens, output_tokens; Splitwise, ISCA'24, CC BY 4.0), drawn at random. Without the trace, log-normals with
 * about its median and 99th percentile.
 */
import * as fs from "node:fs"
import * as path from "node:path"
import type { Draw } from "../s9/draw.ts"

/** Tokens of one call. */
export interface Size {
  readonly input: number
  readonly output: number
}

/** Where the sizes are from. */
export interface Sizes {
  /** Undefined where they are made up. */
  readonly file: string | undefined
  readonly draw: (draw: Draw) => Size
}

const name = "azure2023_code.csv"

/** The trace's file: in the data folder, in its `traces`, or in a folder there. */
export const find = (data = process.env["BALLAST_DATA"] ?? "../shared/data"): string | undefined => {
  const folder = path.join(data, "traces")
  const parts = fs.existsSync(folder)
    ? fs.readdirSync(folder, { withFileTypes: true }).flatMap((part) => (part.isDirectory() ? [part.name] : []))
    : []
  const files = [data, folder, ...parts.toSorted().map((part) => path.join(folder, part))]
  return files.map((each) => path.resolve(each, name)).find((file) => fs.existsSync(file))
}

/** Rows that make no sense are passed over. */
const read = (file: string): ReadonlyArray<Size> =>
  fs
    .readFileSync(file, "utf8")
    .split(/\r?\n/u)
    .slice(1)
    .flatMap((row) => {
      const [, input = Number.NaN, output = Number.NaN] = row.split(",").map(Number)
      return Number.isInteger(input) && Number.isInteger(output) && input > 0 && output > 0 ? [{ input, output }] : []
    })

/** Box and Muller, 1958. */
const normal = (draw: Draw): number => Math.sqrt(-2 * Math.log(1 - draw.unit())) * Math.cos(2 * Math.PI * draw.unit())

const logNormal = (draw: Draw, median: number, sigma: number, most: number): number =>
  Math.max(1, Math.min(most, Math.round(median * Math.exp(sigma * normal(draw)))))

/** Most output tokens of a call: what callers ask for as `max_tokens`, above everything in the trace. */
export const maxOutput = 2_000

const madeUp = (draw: Draw): Size => ({
  input: logNormal(draw, 1_500, 0.68, 7_500),
  output: logNormal(draw, 13, 1.27, maxOutput)
})

/** Sizes of the trace in `file`, made up where there is none. */
export const of = (file: string | undefined): Sizes => {
  const rows = file === undefined ? [] : read(file)
  if (rows.length === 0) return { file: undefined, draw: madeUp }
  return {
    file,
    draw: (draw) => {
      const { input, output } = rows[draw.whole(0, rows.length - 1)]!
      return { input, output: Math.min(output, maxOutput) }
    }
  }
}
