/** The result for people: a table for each variant, and our figures beside their targets. */
import { median } from "../../proxy/tally.ts"
import { policies } from "./lab.ts"
import { variants } from "./row.ts"
import type { Row, Variant } from "./row.ts"
import { meets, misses, targets } from "./targets.ts"
import type { Target } from "./targets.ts"

const titles: { readonly [V in Variant]: string } = {
  disconnect: "Clients go away at random points of their call",
  "slow-readers": "Clients read nothing, or slowly, of a fast upstream",
  stalled: "The upstream falls silent",
  "rolling-restart": "Two servers are replaced one after the other under load"
}

const numbers = (rows: ReadonlyArray<Row>, figure: string): ReadonlyArray<number> =>
  rows.flatMap((row) => {
    const value = row[figure]
    return typeof value === "number" && Number.isFinite(value) ? [value] : []
  })

const round = (value: number): string =>
  Number.isInteger(value) || Math.abs(value) >= 1_000 ? value.toFixed(0) : value.toPrecision(3)

/** Median and both ends over the seeds. */
const spread = (values: ReadonlyArray<number>): string => {
  if (values.length === 0) return "-"
  const least = Math.min(...values)
  const most = Math.max(...values)
  return least === most ? round(least) : `${round(median(values))} [${round(least)} .. ${round(most)}]`
}

const columns = (lines: ReadonlyArray<ReadonlyArray<string>>): string => {
  const widths = (lines[0] ?? []).map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)))
  return lines
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd()
    )
    .join("\n")
}

const isLabel = new Set(["scenario", "variant", "policy", "seed", "failures"])

const bound = ({ atLeast, atMost }: Target): string => (atMost === undefined ? `>= ${atLeast}` : `<= ${atMost}`)

const verdict = (rows: ReadonlyArray<Row>, target: Target): string => {
  const missed = rows.filter((row) => !meets(row, target)).length
  return missed === 0 ? "met" : `MISSED in ${missed} of ${rows.length}`
}

const table = (rows: ReadonlyArray<Row>, variant: Variant): ReadonlyArray<string> => {
  const own = rows.filter((row) => row.variant === variant)
  if (own.length === 0) return []
  const figures = [...new Set(own.flatMap((row) => Object.keys(row)))].filter((name) => !isLabel.has(name))
  const ours = own.filter((row) => row.policy === "ballast")
  const lines = figures.map((figure) => {
    const target = targets[variant].find((each) => each.figure === figure)
    return [
      figure,
      ...policies.map((policy) =>
        spread(
          numbers(
            own.filter((row) => row.policy === policy),
            figure
          )
        )
      ),
      ...(target === undefined ? ["", ""] : [bound(target), verdict(ours, target)])
    ]
  })
  return [`${variant}: ${titles[variant]}\n${columns([["", ...policies, "target", ""], ...lines])}`]
}

/** All tables, and which rows missed what. */
export const report = (rows: ReadonlyArray<Row>): string => {
  const missed = rows.flatMap((row) =>
    misses(row).map(({ figure }) => `  MISSED ${row.variant}, seed ${row.seed}: ${figure} is ${row[figure]}`)
  )
  const seeds = new Set(rows.map((row) => row.seed)).size
  return [
    `S9 streams over real sockets, ${seeds} seed${seeds === 1 ? "" : "s"}: median [least .. most] over the seeds`,
    ...variants.flatMap((variant) => table(rows, variant)),
    missed.length === 0 ? "All targets met." : missed.join("\n")
  ].join("\n\n")
}
