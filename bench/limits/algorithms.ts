/**
 * The algorithms that were compared, each as a step and a baseline in the frame
 * of the adaptive limit, which keeps the rules that all of them need: windows,
 * medians, refusals, floor and ceiling.
 */
import { adaptive } from "../../src/layers/bulkhead/adaptive-limit.ts"
import type { Judge } from "../../src/layers/bulkhead/baseline.ts"
import { gradient } from "../../src/layers/bulkhead/gradient.ts"
import type { Step } from "../../src/layers/bulkhead/gradient.ts"

import { fixed } from "../../src/layers/bulkhead/limit.ts"
import type { LimitOf } from "../../src/layers/bulkhead/memory.ts"

const afterDrops = 0.7

/** Netflix' Gradient2: clamp(1.5 long/short, 0.5, 1) of the limit and 4 more, smoothed by 0.2. */
const gradient2: Step = ({ dropped, limit, ratio }) => {
  if (dropped) return limit * afterDrops
  if (ratio === 0) return limit
  const part = Math.min(1, Math.max(0.5, 1.5 / ratio))
  return 0.8 * limit + 0.2 * (limit * part + 4)
}

/** A long-term average of the medians, as Gradient2 takes it (600 samples, here windows of 50); pulled down when it is twice the median. */
const longTerm = (): Judge => {
  let long = 0
  return {
    ratio: (median) => {
      long = long === 0 ? median : long + (median - long) / 12
      if (long > 2 * median) long *= 0.95
      return median / long
    }
  }
}

/** One more when times are short, a tenth less when they are twice the baseline. */
const aimd: Step = ({ dropped, limit, ratio }) => {
  if (dropped) return limit * afterDrops
  if (ratio === 0) return limit
  return ratio > 2 ? limit * 0.9 : limit + 1
}

/** TCP Vegas as in Netflix' VegasLimit: keep between 3 and 6 log10(limit) calls waiting at the provider. */
const vegas: Step = ({ dropped, limit, ratio }) => {
  if (dropped) return limit * afterDrops
  if (ratio === 0) return limit
  const log = Math.max(1, Math.log10(limit))
  const waiting = limit * (1 - 1 / Math.max(1, ratio))
  if (waiting <= log) return limit + 6 * log
  if (waiting < 3 * log) return limit + log
  return waiting > 6 * log ? limit - log : limit
}

/** By name. */
export const algorithms: Readonly<Record<string, LimitOf>> = {
  fixed: ({ maxInFlight }) => fixed(maxInFlight),
  aimd: (policy) => adaptive(policy, aimd),
  vegas: (policy) => adaptive(policy, vegas),
  gradient2: (policy) => adaptive(policy, gradient2),
  "gradient2-long": (policy) => adaptive(policy, gradient2, longTerm),
  ballast: (policy) => adaptive(policy, gradient)
}
