/** One line of the result: a variant under a policy with one seed. */
import type { Policy } from "./lab.ts"

export const variants = ["disconnect", "slow-readers", "stalled", "rolling-restart"] as const
export type Variant = (typeof variants)[number]

/** Most that our figures may be, in ms; see `targets.ts`. */
export const limits = { abortMs: 100, cutLateMs: 1_000, gapMs: 150 } as const

/** Noise in a single measurement up to this share of what is allowed is put up with. */
export const noiseShare = 0.1

export interface Row {
  readonly scenario: "S9"
  readonly variant: Variant
  readonly policy: Policy
  readonly seed: number
  /** Figures by name; null where a policy has nothing to measure. */
  readonly [figure: string]: number | string | null
}
