/** What the rows of `ballast` must show, on every seed. */
import { limits } from "./row.ts"
import type { Row, Variant } from "./row.ts"
import { maxBufferedBytes } from "./slow-readers.ts"

export interface Target {
  readonly figure: string
  readonly atMost?: number
  readonly atLeast?: number
}

/**
 * What a stuck stream may hold beside `server.maxBufferedBytes`: the transport's queue and the piece that filled it
 * (64 KiB each), what its socket had read ahead (64 KiB), the last write, which may pass the mark by as much as the
 * queue held (128 KiB), and 192 KiB for the objects of two connections and what the process grows by on the whole.
 */
export const streamAllowanceBytes = 524_288

/**
 * More than what the kernel's buffers of a stream's four sockets, grown to the usual limits, and our own queues take
 * before its upstream is held back; without a bound a stream of this scenario would pass it within seconds.
 */
export const kernelBytes = 64_000_000

const none = (figure: string): Target => ({ figure, atMost: 0 })
const all = (figure: string): Target => ({ figure, atLeast: 1 })
const nothingLeft = [none("in_flight_after"), none("upstream_open_after")]

export const targets: { readonly [V in Variant]: ReadonlyArray<Target> } = {
  disconnect: [
    { figure: "abort_p99_ms", atMost: limits.abortMs },
    { figure: "tokens_after_abort", atMost: 1 },
    // With fewer left after the noisy ones are taken out, a p99 says nothing.
    { figure: "samples", atLeast: 20 },
    all("stayed_complete_ratio"),
    all("places_back_ratio"),
    ...nothingLeft
  ],
  "slow-readers": [
    { figure: "memory_bytes_per_stream", atMost: maxBufferedBytes + streamAllowanceBytes },
    { figure: "upstream_bytes_max", atMost: kernelBytes },
    all("cut_ratio"),
    { figure: "cut_late_max_ms", atMost: limits.cutLateMs },
    all("whole_cut_ratio"),
    none("slow_readers_cut"),
    all("healthy_complete_ratio"),
    { figure: "gap_p99_ms", atMost: limits.gapMs },
    ...nothingLeft
  ],
  stalled: [
    { figure: "cut_late_max_ms", atMost: limits.cutLateMs },
    all("told_ratio"),
    none("clean_ends"),
    all("healthy_complete_ratio"),
    ...nothingLeft
  ],
  "rolling-restart": [
    none("dropped_in_grace"),
    none("lost_silently"),
    all("success_ratio"),
    { figure: "clean_exits", atLeast: 2 }
  ]
}

/** Whether a row meets a target; a figure that could not be measured meets none. */
export const meets = (row: Row, { atLeast = -Infinity, atMost = Infinity, figure }: Target): boolean => {
  const value = row[figure]
  return typeof value === "number" && Number.isFinite(value) && value >= atLeast && value <= atMost
}

/** The targets that a row misses; none for a row of the baseline. */
export const misses = (row: Row): ReadonlyArray<Target> =>
  row.policy === "ballast" ? targets[row.variant].filter((target) => !meets(row, target)) : []
