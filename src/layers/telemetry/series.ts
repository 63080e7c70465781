/**
 * Series whose values live in plain fields and are read by Effect's metric
 * registry only when somebody scrapes: an update is an addition, not a lookup.
 */
import { Metric } from "effect"
import type { Context } from "effect"

/** Label names and values of one series. */
export type Labels = Readonly<Record<string, string>>

/** A number that only grows. */
export interface Counter {
  count: number
}

/** A counter in the registry of `context`. */
export const counter = (
  context: Context.Context<never>,
  name: string,
  description: string,
  attributes: Labels
): Counter => {
  const cell: Counter = { count: 0 }
  Metric.registerUnsafe(Metric.counter(name, { description, attributes, incremental: true }), context, {
    get: () => ({ count: cell.count, incremental: true }),
    update: ignore,
    modify: ignore
  })
  return cell
}

/** A number that goes up and down. */
export const gauge = (
  context: Context.Context<never>,
  name: string,
  description: string,
  attributes: Labels,
  read: () => number
): void => {
  Metric.registerUnsafe(Metric.gauge(name, { description, attributes }), context, {
    get: () => ({ value: read() }),
    update: ignore,
    modify: ignore
  })
}

/** Observations counted by upper bound. */
export class Histogram {
  private readonly counts: Float64Array
  private readonly bounds: ReadonlyArray<number>
  private count = 0
  private sum = 0
  private min = 0
  private max = 0

  constructor(bounds: ReadonlyArray<number>) {
    this.bounds = bounds
    this.counts = new Float64Array(bounds.length + 1)
  }

  /** Count one observation. */
  observe(value: number): void {
    const { bounds, counts } = this
    let i = 0
    while (i < bounds.length && value > bounds[i]!) i++
    counts[i]!++
    this.min = this.count === 0 || value < this.min ? value : this.min
    this.max = this.count === 0 || value > this.max ? value : this.max
    this.count++
    this.sum += value
  }

  /** Cumulative counts, as Effect's histograms report them. */
  state(): Metric.HistogramState {
    let seen = 0
    const buckets = this.bounds.map((bound, i): [number, number] => {
      seen += this.counts[i]!
      return [bound, seen]
    })
    return { buckets, count: this.count, min: this.min, max: this.max, sum: this.sum }
  }
}

/** A histogram in the registry of `context`. `boundaries` are upper bounds, ascending; one more to infinity is implied. */
export const histogram = (
  context: Context.Context<never>,
  name: string,
  description: string,
  boundaries: ReadonlyArray<number>,
  attributes: Labels
): Histogram => {
  const cell = new Histogram(boundaries)
  Metric.registerUnsafe(Metric.histogram(name, { description, attributes, boundaries }), context, {
    get: () => cell.state(),
    update: ignore,
    modify: ignore
  })
  return cell
}

const ignore = (): void => {}

/** Where values already made are found. */
interface Known<K, V> {
  readonly get: (key: K) => V | undefined
  readonly set: (key: K, value: V) => unknown
}

const memo =
  <K, V>(known: Known<K, V>, make: (key: K) => V): ((key: K) => V) =>
  (key) => {
    let value = known.get(key)
    if (value === undefined) {
      value = make(key)
      known.set(key, value)
    }
    return value
  }

/** Values made once for each key. */
export const once = <K, V>(make: (key: K) => V): ((key: K) => V) => memo(new Map<K, V>(), make)

/** {@link once} for objects, without keeping them. */
export const onceFor = <K extends object, V>(make: (key: K) => V): ((key: K) => V) => memo(new WeakMap<K, V>(), make)
