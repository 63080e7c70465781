/** Errors of one run, counted by what they say, and percentiles of what it timed. */

/** `{ "status 502": 12 }`; empty when the run was clean. */
export type Errors = Readonly<Record<string, number>>

export const errorTally = (): { readonly add: (error: string) => void; readonly errors: Record<string, number> } => {
  const errors: Record<string, number> = {}
  return {
    errors,
    add: (error) => {
      errors[error] = (errors[error] ?? 0) + 1
    }
  }
}

/** The `share` quantile (0.5 = median) by nearest rank; NaN of nothing. */
export const quantile = (values: ReadonlyArray<number>, share: number): number => {
  if (values.length === 0) return Number.NaN
  const sorted = Float64Array.from(values).toSorted()
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(share * sorted.length) - 1))] ?? Number.NaN
}

/** The usual median: the mean of the middle two when there is no middle one. */
export const median = (values: ReadonlyArray<number>): number => {
  const sorted = [...values].toSorted((a, b) => a - b)
  const upper = sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
  const lower = sorted[Math.floor((sorted.length - 1) / 2)] ?? Number.NaN
  return (upper + lower) / 2
}
