/** The report: a table for each kind of measurement, then Ballast's figures beside their targets. */
import { FIGURES, failure, summarise, verdict } from "./figures.ts"
import type { Figure, Summary, Verdict } from "./figures.ts"
import { KINDS } from "./measurement.ts"
import type { Kind, Measurement, Sizes } from "./measurement.ts"
import type { Peer } from "./servers.ts"

/** One figure of one server, as `--json` prints it. */
export interface FigureLine extends Summary {
  readonly type: "figure"
  readonly kind: Kind
  readonly peer: Peer["name"]
  readonly figure: string
  readonly unit: Figure["unit"]
  readonly target?: Figure["target"]
  readonly verdict?: Verdict
}

const title = (kind: Kind, sizes: Sizes): string => {
  switch (kind) {
    case "saturation":
      return `Saturation: ${sizes.connections} connections, whole replies`
    case "latency":
      return `Latency: ${sizes.rate} requests/s, open loop, ${sizes.connections} connections`
    case "stream":
      return `Streams: ${sizes.streams} at a time, ${sizes.streamChunks} chunks ${sizes.streamIntervalMs} ms apart`
    case "memory":
      return `Memory: after ${sizes.wideConnections} connections; with ${sizes.heldStreams} open streams`
  }
}

const round = (value: number): string => {
  if (Number.isNaN(value)) return "-"
  if (Math.abs(value) >= 100) return value.toFixed(0)
  return Math.abs(value) >= 10 ? value.toFixed(1) : value.toFixed(2)
}

const spread = (summary: Summary | undefined): string =>
  summary === undefined ? "-" : `${round(summary.value)} [${round(summary.min)} .. ${round(summary.max)}]`

const columns = (rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd()
    )
    .join("\n")
}

const unit = (figure: Figure): string =>
  figure.unit === "x" || figure.unit === "share" || figure.unit === "" ? "" : ` (${figure.unit})`

const targetText = ({ target, unit: of }: Figure): string => {
  const suffix = of === "x" || of === "" ? of : ` ${of}`
  if (target?.atLeast !== undefined) return `>= ${target.atLeast}${suffix}`
  return target?.below === undefined ? `<= ${target?.atMost}${suffix}` : `< ${target.below}${suffix}`
}

const peersOf = (all: ReadonlyArray<Measurement>, kind: Kind): ReadonlyArray<Peer["name"]> => [
  ...new Set(all.filter((one) => one.kind === kind).map((one) => one.peer))
]

const table = (all: ReadonlyArray<Measurement>, kind: Kind, sizes: Sizes): string => {
  const figures = FIGURES.filter((figure) => figure.kind === kind)
  const peers = peersOf(all, kind)
  const head = ["", ...peers]
  const rows = figures.map((figure) => [
    `${figure.name}${unit(figure)}`,
    ...peers.map((peer) => spread(summarise(all, figure, peer)))
  ])
  const failures = peers.flatMap((peer) => {
    const why = failure(all, kind, peer)
    return why === undefined ? [] : [`  FAILED ${peer}: ${why}`]
  })
  return [title(kind, sizes), columns([head, ...rows]), ...failures].join("\n")
}

const targets = (all: ReadonlyArray<Measurement>): string => {
  const rows = FIGURES.filter(
    (figure) => figure.target !== undefined && all.some((one) => one.kind === figure.kind)
  ).map((figure) => {
    const summary = summarise(all, figure, "ballast")
    const failed = failure(all, figure.kind, "ballast") !== undefined
    return [
      `${figure.name}${unit(figure)}`,
      spread(summary),
      targetText(figure),
      verdict(figure, summary, failed),
      figure.target?.note ?? ""
    ]
  })
  return ["Ballast against its targets", columns([["", "median [min .. max]", "target", "", ""], ...rows])].join("\n")
}

/** For people. Every cell is the median of the cycles with the smallest and the largest beside it. */
export const report = (all: ReadonlyArray<Measurement>, sizes: Sizes): string =>
  [...KINDS.filter((kind) => peersOf(all, kind).length > 0).map((kind) => table(all, kind, sizes)), targets(all)].join(
    "\n\n"
  )

/** For programs. */
export const figureLines = (all: ReadonlyArray<Measurement>): ReadonlyArray<FigureLine> =>
  FIGURES.flatMap((figure) =>
    peersOf(all, figure.kind).flatMap((peer): ReadonlyArray<FigureLine> => {
      const summary = summarise(all, figure, peer)
      if (summary === undefined) return []
      const line = {
        type: "figure",
        kind: figure.kind,
        peer,
        figure: figure.name,
        unit: figure.unit,
        ...summary
      } as const
      if (figure.target === undefined || peer !== "ballast") return [line]
      return [{ ...line, target: figure.target, verdict: verdict(figure, summary, false) }]
    })
  )
