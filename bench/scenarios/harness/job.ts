/** A piece of work for a child process, and what comes back. */
import type { Figures } from "./case.ts"

/** One run. */
export interface Job {
  readonly scenario: string
  readonly variant: string
  readonly policy: string
  readonly seed: number
  readonly quick: boolean
}

/** What a child sends for a job. `tookMs` is real time. */
export type Reply =
  | { readonly _tag: "Done"; readonly figures: Figures; readonly tookMs: number }
  | { readonly _tag: "Failed"; readonly error: string }
