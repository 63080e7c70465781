/** Percentiles, as all tables of Ballast's own runs mean them. */

/** The value that the share `q` of `values` does not exceed (nearest rank); `null` of none. */
export const percentile = (values: ReadonlyArray<number>, q: number): number | null =>
  ofSorted(
    values.toSorted((a, b) => a - b),
    q
  )

/** The same of values that are in ascending order. */
export const ofSorted = (sorted: ReadonlyArray<number>, q: number): number | null =>
  sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)] ?? null
