/** One line of the result: a variant under a policy with one seed, and what a row of ours must show. */
import type { Policy } from "./lab.ts"

export const variants = ["disconnect", "slow-readers", "stalled", "rolling-restart"] as const
export type Variant = (typeof variants)[number]

export interface Row {
  readonly scenario: "S9"
  readonly variant: Variant
  readonly policy: Policy
  readonly seed: number
  /** Figures by name; what was not measured is null. */
  readonly [figure: string]: number | string | null
}

export interface Target {
  readonly figure: string
  readonly atMost?: number
  readonly atLeast?: number
}

/** What the rows of `ballast` must reach, on every seed. */
export const targets: { readonly [V in Variant]: ReadonlyArray<Target> } = {
  disconnect: [],
  "slow-readers": [],
  stalled: [],
  "rolling-restart": []
}

/** Whether a row meets a target; a figure that is missing meets none. */
export const meets = (row: Row, { atLeast = -Infinity, atMost = Infinity, figure }: Target): boolean => {
  const value = row[figure]
  return typeof value === "number" && value >= atLeast && value <= atMost
}

/** The targets that a row misses; none for a row of the baseline. */
export const misses = (row: Row): ReadonlyArray<Target> =>
  row.policy === "ballast" ? targets[row.variant].filter((target) => !meets(row, target)) : []
