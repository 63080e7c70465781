/**
 * How a visit ended for whoever made it, whatever stood between them and the
 * provider: Ballast, another library, or nothing.
 */
import type { Rung } from "../../domain/brownout.ts"
import type { Visit } from "./visit.ts"

/**
 * - `answered`: the whole answer came (see `goodBy` for whether in time)
 * - `refused`: told no without a call to a provider having been made for it
 * - `failed`: an error after at least one call, or no word until the visitor left
 */
export type EndingKind = "answered" | "refused" | "failed"

/** Times are ms after the visit's intended send time. */
export interface Ending {
  readonly visit: Visit
  readonly kind: EndingKind
  /** `Error.Reason` of Ballast, or another library's error name; `undefined` for an answer. */
  readonly code: string | undefined
  /** When a stream's first token came; `undefined` where none did, and for answers that come in one piece. */
  readonly firstTokenMs: number | undefined
  readonly endedMs: number
  /** Which simulated process of the fleet had it. */
  readonly process: number
  /** How full the answer was; `full` where it is not said. */
  readonly rung?: Rung
}

/**
 * Whether the visitor got a whole answer in time. One of a smaller model, a
 * shorter or an older one counts; a part of one, which broke off, does not.
 */
export const isGood = ({ endedMs, kind, rung, visit }: Ending): boolean =>
  kind === "answered" && rung !== "partial" && endedMs <= visit.patienceMs

/** Whether an answer is less than the full one. */
export const isDegraded = ({ kind, rung = "full" }: Ending): boolean => kind === "answered" && rung !== "full"
