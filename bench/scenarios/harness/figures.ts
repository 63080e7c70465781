/** Figures that several scenarios have in common. */
import { percentile } from "../../../src/programs/percentile.ts"
import { isGood } from "../../../src/programs/simulate/ending.ts"
import type { Ending } from "../../../src/programs/simulate/ending.ts"
import type { Run } from "./case.ts"

/** A span of time, in ms after the start; `toMs` is outside. */
export interface Span {
  readonly fromMs: number
  readonly toMs: number
}

/** Seconds as a span. */
export const span = (fromS: number, toS: number): Span => ({ fromMs: fromS * 1_000, toMs: toS * 1_000 })

const inside = (at: number, { fromMs, toMs }: Span) => fromMs <= at && at < toMs

/** Endings of the visits that were meant to be sent in a span. */
export const sentIn = (run: Run, when: Span): ReadonlyArray<Ending> =>
  run.endings.filter(({ visit }) => inside(visit.atMs, when))

/** Share of the good ones; 1 of none. */
export const goodShare = (endings: ReadonlyArray<Ending>): number =>
  endings.length === 0 ? 1 : endings.filter(isGood).length / endings.length

/** Good answers that came in a span, a second. */
export const goodputPerS = (run: Run, when: Span): number =>
  run.endings.filter((ending) => isGood(ending) && inside(ending.visit.atMs + ending.endedMs, when)).length /
  ((when.toMs - when.fromMs) / 1_000)

/** Calls to providers in a span over the visits sent in it. */
export const attemptsPerRequest = (run: Run, when: Span): number =>
  run.calls.filter(({ atMs }) => inside(atMs, when)).length /
  Math.max(1, run.visits.filter(({ atMs }) => inside(atMs, when)).length)

/** p99 of the time to a refusal that nobody was called for; left out where nothing was refused. */
export const rejectP99 = (endings: ReadonlyArray<Ending>): { readonly reject_p99_ms?: number } => {
  const p99 = percentile(
    endings.filter(({ kind }) => kind === "refused").map(({ endedMs }) => endedMs),
    0.99
  )
  return p99 === null ? {} : { reject_p99_ms: p99 }
}

/** Of all requests that a call was made for: the share that was answered too late, or cut for being too late. */
export const lateRatio = (endings: ReadonlyArray<Ending>): number => {
  const called = endings.filter(({ kind }) => kind !== "refused")
  return called.length === 0 ? 0 : called.filter((ending) => !isGood(ending)).length / called.length
}

/** Tokens that the providers billed. */
export const billedTokens = (run: Run): number =>
  Object.values(run.stats).reduce((sum, { generatedTokens, promptTokens }) => sum + generatedTokens + promptTokens, 0)

/** p99 of the time to the first token; a visit that never saw one waited until it was told so. Infinite of none. */
export const ttftP99 = (endings: ReadonlyArray<Ending>): number =>
  percentile(
    endings.map(({ endedMs, firstTokenMs }) => firstTokenMs ?? endedMs),
    0.99
  ) ?? Infinity
