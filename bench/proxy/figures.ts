/**
 * The figures the bench reports: each is computed within one cycle, from the bursts of two servers that ran seconds
 * apart, and then summed up over the cycles. Speed drifts from minute to minute, so a figure of one server alone is
 * shown for orientation only.
 */
import type { Kind, Measurement } from "./measurement.ts"
import type { Peer } from "./servers.ts"
import { median } from "./tally.ts"

type Values = Measurement["values"]

export interface Figure {
  readonly kind: Kind
  readonly name: string
  readonly unit: "x" | "ms" | "MB" | "KB" | "share" | ""
  /** The server of the same cycle it is set against. */
  readonly against?: Peer["name"]
  readonly of: (own: Values, other: Values) => number
  /** What stands for all cycles; the median unless a worst case is asked for. */
  readonly summary?: "median" | "max"
  /** What Ballast must reach. */
  readonly target?: {
    readonly atLeast?: number
    readonly atMost?: number
    readonly below?: number
    readonly note?: string
  }
}

export interface Summary {
  readonly value: number
  readonly min: number
  readonly max: number
  readonly cycles: number
}

export type Verdict = "met" | "not met" | "failed" | "not measured"

const get = (values: Values, key: string): number => values[key] ?? Number.NaN

const ratio = (key: string) => (own: Values, other: Values) => get(own, key) / get(other, key)
const inverse = (key: string) => (own: Values, other: Values) => get(other, key) / get(own, key)
const minus = (key: string) => (own: Values, other: Values) => get(own, key) - get(other, key)
const plain =
  (key: string, divisor = 1) =>
  (own: Values) =>
    get(own, key) / divisor

const MB = 1024 * 1024

export const FIGURES: ReadonlyArray<Figure> = [
  {
    kind: "saturation",
    name: "throughput per core vs bare",
    unit: "x",
    against: "bare",
    of: inverse("cpuUsPerRequest"),
    target: { atLeast: 0.6, note: "stretch 0.80" }
  },
  {
    kind: "saturation",
    name: "throughput per core vs portkey",
    unit: "x",
    against: "portkey",
    of: inverse("cpuUsPerRequest"),
    target: { atLeast: 4 }
  },
  {
    kind: "saturation",
    name: "CPU per request as share of bare's",
    unit: "x",
    against: "bare",
    of: ratio("cpuUsPerRequest")
  },
  { kind: "saturation", name: "requests/s vs bare", unit: "x", against: "bare", of: ratio("requestsPerSecond") },
  { kind: "saturation", name: "core used by server", unit: "share", of: plain("serverCore") },
  { kind: "saturation", name: "core used by mock+load", unit: "share", of: plain("mockAndLoadCore") },
  { kind: "latency", name: "added p50", unit: "ms", against: "direct", of: minus("p50Ms"), target: { atMost: 0.5 } },
  { kind: "latency", name: "added p99", unit: "ms", against: "direct", of: minus("p99Ms") },
  { kind: "latency", name: "p99 vs bare", unit: "x", against: "bare", of: ratio("p99Ms"), target: { atMost: 1.5 } },
  { kind: "latency", name: "p50", unit: "ms", of: plain("p50Ms") },
  { kind: "latency", name: "p99", unit: "ms", of: plain("p99Ms") },
  { kind: "latency", name: "generator lag p99", unit: "ms", of: plain("generatorLagP99Ms") },
  {
    kind: "stream",
    name: "first token p50 later than bare",
    unit: "ms",
    against: "bare",
    of: minus("firstTokenP50Ms"),
    target: { atMost: 2 }
  },
  {
    kind: "stream",
    name: "CPU per chunk vs bare",
    unit: "x",
    against: "bare",
    of: ratio("cpuUsPerChunk"),
    target: { atMost: 1.2 }
  },
  { kind: "stream", name: "first token p50", unit: "ms", of: plain("firstTokenP50Ms") },
  { kind: "stream", name: "first token p99", unit: "ms", of: plain("firstTokenP99Ms") },
  { kind: "stream", name: "core used by server", unit: "share", of: plain("serverCore") },
  { kind: "stream", name: "core used by mock+load", unit: "share", of: plain("mockAndLoadCore") },
  {
    kind: "memory",
    name: "RSS after load (worst)",
    unit: "MB",
    of: plain("rssAfterLoadBytes", MB),
    summary: "max",
    target: { atMost: 320 }
  },
  {
    kind: "memory",
    name: "live memory per open stream",
    unit: "KB",
    of: plain("liveBytesPerStream", 1024),
    target: { below: 40 }
  },
  {
    kind: "memory",
    name: "upstream streams left open by gone clients",
    unit: "",
    of: plain("streamsLeftOpen"),
    summary: "max",
    target: { atMost: 0 }
  },
  {
    kind: "memory",
    name: "RSS growth per open stream (heap already grown)",
    unit: "KB",
    of: plain("rssBytesPerStream", 1024)
  }
]

const find = (all: ReadonlyArray<Measurement>, kind: Kind, cycle: number, peer: Peer["name"]) =>
  all.find((one) => one.kind === kind && one.cycle === cycle && one.peer === peer)

/** The first reason a burst of this kind failed for this server. */
export const failure = (all: ReadonlyArray<Measurement>, kind: Kind, peer: Peer["name"]): string | undefined => {
  const own = all.filter((one) => one.kind === kind && one.peer === peer)
  const failed = own.filter((one) => one.error !== undefined)
  return failed.length === 0 ? undefined : `${failed.length} of ${own.length} bursts failed: ${failed[0]?.error}`
}

/** Undefined where there is nothing to compute it from, or where a burst of the server failed. */
export const summarise = (all: ReadonlyArray<Measurement>, figure: Figure, peer: Peer["name"]): Summary | undefined => {
  if (failure(all, figure.kind, peer) !== undefined) return undefined
  const values = all
    .filter((one) => one.kind === figure.kind && one.peer === peer)
    .flatMap(({ cycle, values: own }) => {
      const other = figure.against === undefined ? own : find(all, figure.kind, cycle, figure.against)?.values
      const value = other === undefined ? Number.NaN : figure.of(own, other)
      return Number.isNaN(value) ? [] : [value]
    })
  if (values.length === 0) return undefined
  const min = Math.min(...values)
  const max = Math.max(...values)
  return { value: figure.summary === "max" ? max : median(values), min, max, cycles: values.length }
}

export const verdict = ({ target }: Figure, summary: Summary | undefined, failed: boolean): Verdict => {
  if (failed) return "failed"
  if (summary === undefined) return "not measured"
  const { value } = summary
  const { atLeast = -Infinity, atMost = Infinity, below = Infinity } = target ?? {}
  return value >= atLeast && value <= atMost && value < below ? "met" : "not met"
}
