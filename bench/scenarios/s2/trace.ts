/**
 * Reading recorded requests: CSV files with the columns t_s, input_tokens and
 * output_tokens, in the order of time (the Azure LLM inference traces 2023,
 * CC-BY 4.0, in this form). Rows that make no sense are passed over.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"

/** One request. */
export interface Recorded {
  readonly atS: number
  readonly inputTokens: number
  readonly outputTokens: number
}

/** A recording by its file's name. */
export interface Recording {
  readonly name: string
  readonly requests: ReadonlyArray<Recorded>
}

/** The requests of a CSV text; times count from the first. */
export const parse = (text: string): ReadonlyArray<Recorded> => {
  const [head = "", ...lines] = text.split(/\r?\n/u)
  const names = head.split(",").map((name) => name.trim())
  const at = (cells: ReadonlyArray<string>, name: string) => {
    const cell = cells[names.indexOf(name)]?.trim() ?? ""
    return cell === "" ? Number.NaN : Number(cell)
  }
  const rows = lines.flatMap((line): ReadonlyArray<Recorded> => {
    const cells = line.split(",")
    const row = {
      atS: at(cells, "t_s"),
      inputTokens: at(cells, "input_tokens"),
      outputTokens: at(cells, "output_tokens")
    }
    return Object.values(row).every((value) => Number.isFinite(value) && value >= 0) ? [row] : []
  })
  const ordered = rows.toSorted((a, b) => a.atS - b.atS)
  const first = ordered[0]?.atS ?? 0
  return ordered.map((row) => ({
    atS: row.atS - first,
    inputTokens: Math.max(1, Math.round(row.inputTokens)),
    outputTokens: Math.max(1, Math.round(row.outputTokens))
  }))
}

/** All `azure2023_*.csv` in `traces` of the data folder and in the folders there. */
export const find = (data = process.env["BALLAST_DATA"] ?? "../shared/data"): ReadonlyArray<Recording> => {
  const folder = join(data, "traces")
  if (!existsSync(folder)) return []
  const parts = readdirSync(folder, { withFileTypes: true }).filter((part) => part.isDirectory())
  const found: Array<Recording> = []
  for (const part of ["", ...parts.map(({ name }) => name).toSorted()]) {
    for (const file of readdirSync(join(folder, part)).toSorted()) {
      if (!/^azure2023_.*\.csv$/u.test(file)) continue
      const requests = parse(readFileSync(join(folder, part, file), "utf8"))
      const name = file.slice(0, -".csv".length)
      const taken = found.some((one) => one.name === name)
      // Rates need two requests at different times.
      if ((requests.at(-1)?.atS ?? 0) > 0) found.push({ name: taken ? `${name}-${part}` : name, requests })
    }
  }
  return found
}
