/**
 * Reading per-tenant rates of a recorded service: two CSV files for each
 * model, `servegen_MODEL_tenant_rates.csv` (window_start_s, tenant, rate_rps,
 * iat_cv …) and `servegen_MODEL_tenant_tokens.csv` (window_start_s, tenant,
 * quantiles of input and output tokens). Format and data: ServeGen (Xiang et
 * al., 2025), Apache-2.0.
 *
 * Rows that make no sense (no number, no rate) are passed over; a tenant
 * without token sizes gets those of all.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"

/** Quantiles of a number of tokens. */
export interface Tokens {
  readonly p5: number
  readonly p50: number
  readonly p90: number
  readonly p99: number
}

/** A tenant's arrivals in one window. */
export interface Arrivals {
  readonly tenant: string
  readonly ratePerS: number
  /** Coefficient of variation of the times between arrivals. */
  readonly cv: number
}

/** A window of the recording. */
export interface Window {
  readonly startS: number
  readonly arrivals: ReadonlyArray<Arrivals>
}

/** One model's recording. */
export interface Recording {
  readonly model: string
  /** In the order of time; each has arrivals. */
  readonly windows: ReadonlyArray<Window>
  readonly sizeOf: (tenant: string) => { readonly input: Tokens; readonly output: Tokens }
}

type Row = Readonly<Record<string, string>>

const rows = (file: string): ReadonlyArray<Row> => {
  const [head = "", ...lines] = readFileSync(file, "utf8").split(/\r?\n/u)
  const names = head.split(",").map((name) => name.trim())
  return lines
    .filter((line) => line.trim() !== "")
    .map((line) => {
      const cells = line.split(",")
      return Object.fromEntries(names.map((name, index) => [name, cells[index]?.trim() ?? ""]))
    })
}

/** A finite number, or `undefined`; an empty cell is none. */
const number = (row: Row, name: string): number | undefined => {
  const text = row[name] ?? ""
  const value = Number(text)
  return text === "" || !Number.isFinite(value) ? undefined : value
}

const windowsOf = (file: string): ReadonlyArray<Window> => {
  const byStart = new Map<number, Map<string, Arrivals>>()
  for (const row of rows(file)) {
    const startS = number(row, "window_start_s")
    const ratePerS = number(row, "rate_rps")
    const tenant = row["tenant"] ?? ""
    if (startS === undefined || ratePerS === undefined || !(ratePerS > 0) || tenant === "") continue
    const cv = number(row, "iat_cv")
    const window = byStart.get(startS) ?? new Map<string, Arrivals>()
    byStart.set(startS, window)
    // Where a cell says nothing about the gaps, they are those of a Poisson process.
    window.set(tenant, { tenant, ratePerS, cv: cv !== undefined && cv > 0 ? cv : 1 })
  }
  return [...byStart]
    .map(([startS, arrivals]) => ({ startS, arrivals: [...arrivals.values()] }))
    .toSorted((a, b) => a.startS - b.startS)
}

const tokensOf = (row: Row, side: "in" | "out"): Tokens | undefined => {
  const at = (name: string) => number(row, `${side}_${name}`)
  const p50 = at("p50") ?? at("mean")
  if (p50 === undefined) return undefined
  const middle = Math.max(1, p50)
  const p90 = Math.max(middle, at("p90") ?? middle)
  return {
    p5: Math.min(middle, Math.max(1, at("p5") ?? middle)),
    p50: middle,
    p90,
    p99: Math.max(p90, at("p99") ?? p90)
  }
}

const median = (values: ReadonlyArray<number>, otherwise: number) =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? otherwise

const sizesOf = (file: string | undefined): Recording["sizeOf"] => {
  const sizes = new Map<string, { readonly input: Tokens; readonly output: Tokens }>()
  for (const row of file === undefined ? [] : rows(file)) {
    const input = tokensOf(row, "in")
    const output = tokensOf(row, "out")
    const tenant = row["tenant"] ?? ""
    // One size for the whole recording: a tenant's sizes hardly change, its rates do.
    if (input !== undefined && output !== undefined && tenant !== "" && !sizes.has(tenant)) {
      sizes.set(tenant, { input, output })
    }
  }
  const of = (side: "input" | "output", otherwise: number): Tokens => {
    const at = (name: keyof Tokens) =>
      median(
        [...sizes.values()].map((size) => size[side][name]),
        otherwise
      )
    return { p5: at("p5"), p50: at("p50"), p90: at("p90"), p99: at("p99") }
  }
  const usual = { input: of("input", 500), output: of("output", 100) }
  return (tenant) => sizes.get(tenant) ?? usual
}

/** The folder of the data, and what is in it. */
export interface Found {
  readonly folder: string
  readonly recordings: ReadonlyArray<Recording>
}

const suffix = "_tenant_rates.csv"

/** All recordings in `traces` of the data folder and in the folders there; `undefined` where there is none. */
export const find = (data = process.env["BALLAST_DATA"] ?? "../shared/data"): Found | undefined => {
  const folder = join(data, "traces")
  if (!existsSync(folder)) return undefined
  const recordings: Array<Recording> = []
  const parts = readdirSync(folder, { withFileTypes: true }).filter((part) => part.isDirectory())
  for (const part of ["", ...parts.map(({ name }) => name).toSorted()]) {
    for (const name of readdirSync(join(folder, part)).toSorted()) {
      if (!name.startsWith("servegen_") || !name.endsWith(suffix)) continue
      const model = name.slice("servegen_".length, -suffix.length)
      const tokens = join(folder, part, `servegen_${model}_tenant_tokens.csv`)
      const windows = windowsOf(join(folder, part, name))
      if (windows.length === 0) continue
      // The same model may stand in several folders.
      const taken = recordings.some((one) => one.model === model)
      recordings.push({
        model: taken ? `${model}-${part}` : model,
        windows,
        sizeOf: sizesOf(existsSync(tokens) ? tokens : undefined)
      })
    }
  }
  return { folder, recordings }
}
