/**
 * What one side's users saw, counted while it happens and summed up at the end.
 */
import { percentile } from "../percentile.ts"
import type { Visit } from "./traffic.ts"
import { whale } from "./traffic.ts"

/**
 * How a visit ended for the user.
 *
 * - `answered`: the whole answer was there in time
 * - `refused`: told no at once ({@link refusedWithinMs}), so that they can do something else
 * - `failed`: an error after a wait
 * - `left`: no whole answer before their patience ended
 */
export type Ending = "answered" | "refused" | "failed" | "left"

/** An error that comes later than this after the question is no quick refusal, whoever sends it. */
export const refusedWithinMs = 1_000

/** Counts one side. */
export interface Tally {
  readonly ask: () => void
  /** The first token of a visit came after `ms`. */
  readonly firstToken: (ms: number) => void
  /** `code` says why it was refused or failed. */
  readonly end: (visit: Visit, ending: Ending, ms: number, code?: string) => void
  readonly live: () => Live
  readonly summary: () => Users
}

/** The state of things while they happen. */
export interface Live {
  readonly asked: number
  readonly waiting: number
  readonly answered: number
  readonly refused: number
  readonly errors: number
}

/** What the users saw. Times in ms, over answered visits; shares from 0 to 1; `null` where there is nothing to count. */
export interface Users {
  readonly asked: number
  readonly answered: number
  readonly refusedFast: number
  readonly errors: number
  readonly leftWaiting: number
  readonly smallTenantsAnsweredShare: number | null
  readonly p50Ms: number | null
  readonly p95Ms: number | null
  readonly p99Ms: number | null
  readonly firstTokenP50Ms: number | null
  readonly firstTokenP95Ms: number | null
  readonly refusalP95Ms: number | null
  /** How often each error code came as the last word, quick refusals included. */
  readonly codes: Readonly<Record<string, number>>
}

/** A percentile in whole ms. */
const wholeMs = (values: ReadonlyArray<number>, q: number): number | null => {
  const value = percentile(values, q)
  return value === null ? null : Math.round(value)
}

/** An empty tally. */
export const make = (): Tally => {
  const times: Record<Ending, Array<number>> = { answered: [], refused: [], failed: [], left: [] }
  const firstTokens: Array<number> = []
  const codes: Record<string, number> = {}
  const small = { asked: 0, answered: 0 }
  let asked = 0
  const errors = () => times.failed.length + times.left.length
  return {
    ask: () => {
      asked++
    },
    firstToken: (ms) => {
      firstTokens.push(ms)
    },
    end: ({ tenant }, ending, ms, code) => {
      times[ending].push(ms)
      if (code !== undefined) codes[code] = (codes[code] ?? 0) + 1
      if (tenant === whale) return
      small.asked++
      if (ending === "answered") small.answered++
    },
    live: () => ({
      asked,
      waiting: asked - times.answered.length - times.refused.length - errors(),
      answered: times.answered.length,
      refused: times.refused.length,
      errors: errors()
    }),
    summary: () => ({
      asked,
      answered: times.answered.length,
      refusedFast: times.refused.length,
      errors: errors(),
      leftWaiting: times.left.length,
      smallTenantsAnsweredShare: small.asked === 0 ? null : small.answered / small.asked,
      p50Ms: wholeMs(times.answered, 0.5),
      p95Ms: wholeMs(times.answered, 0.95),
      p99Ms: wholeMs(times.answered, 0.99),
      firstTokenP50Ms: wholeMs(firstTokens, 0.5),
      firstTokenP95Ms: wholeMs(firstTokens, 0.95),
      refusalP95Ms: wholeMs(times.refused, 0.95),
      codes: { ...codes }
    })
  }
}
