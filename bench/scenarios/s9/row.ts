/** One line of the result: a variant under a policy with one seed. */
import type { Policy } from "./lab.ts"

export const variants = ["disconnect", "slow-readers", "stalled", "rolling-restart"] as const
export type Variant = (typeof variants)[number]

export interface Row {
  readonly scenario: "S9"
  readonly variant: Variant
  readonly policy: Policy
  readonly seed: number
  /** Figures by name; null where a policy has nothing to measure. */
  readonly [figure: string]: number | string | null
}
