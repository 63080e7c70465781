/**
 * How a visit ended for whoever made it, whatever stood between them and the
 * provider: Ballast, another library, or nothing.
 */
import type { Visit } from "./visit.ts"

/**
 * - `answered`: the whole answer came (see `goodBy` for whether in time)
 * - `refused`: told no without a call to a provider having been made for it
 * - `failed`: an error after at least one call
 */
export type EndingKind = "answered" | "refused" | "failed"

/** Times are ms after the visit's intended send time. */
export interface Ending {
  readonly visit: Visit
  readonly kind: EndingKind
  /** `Error.Reason` of Ballast, or another library's error name; `undefined` for an answer. */
  readonly code: string | undefined
  /** When the first token came; `undefined` where none did. */
  readonly firstTokenMs: number | undefined
  readonly endedMs: number
  /** Which simulated process of the fleet had it. */
  readonly process: number
}

/** Whether the visitor got the whole answer in time. */
export const isGood = ({ endedMs, kind, visit }: Ending): boolean => kind === "answered" && endedMs <= visit.patienceMs
