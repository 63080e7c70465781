/**
 * What breakers did while a provider was down, read off their transitions and
 * off the calls that arrived at the provider. Each process has a breaker of
 * its own; figures are those of the worst one.
 */
import type { FleetTransition } from "../../../src/programs/simulate/fleet.ts"
import type { BreakerState } from "../../../src/services/circuit-breaker.ts"
import type { Run } from "../harness/case.ts"
import type { Span } from "../harness/figures.ts"

/** The bounds of the definition: an outage is seen within so many calls or so many ms, whichever is later. */
const seenWithin = { calls: 20, ms: 5_000 }

/** Calls that each open period may cost, and how long a period must be to allow them. */
const probesAllowed = 3
const shortestOpenMs = 1_000

/** One breaker's life. Before its first transition it is closed. */
interface Life {
  readonly transitions: ReadonlyArray<FleetTransition>
  /** Times of the calls to the provider. */
  readonly calls: ReadonlyArray<number>
}

const livesOf = (run: Run, provider: string): ReadonlyArray<Life> =>
  Array.from({ length: run.scenario.processes }, (_, process) => ({
    transitions: run.transitions.filter((one) => one.process === process && one.key.startsWith(provider)),
    calls: run.calls.filter((one) => one.process === process && one.provider === provider).map(({ atMs }) => atMs)
  }))

const stateAt = ({ transitions }: Life, atMs: number): BreakerState =>
  transitions.findLast((one) => one.atMs <= atMs)?.to ?? "closed"

const count = (times: ReadonlyArray<number>, fromMs: number, toMs: number) =>
  times.filter((at) => fromMs <= at && at < toMs).length

/** One breaker's way through one time of the provider being down. */
interface Passage {
  /** Seen or not: calls and ms until the breaker opened; `undefined` where it was open before. */
  readonly detection: { readonly calls: number; readonly ms: number; readonly seen: boolean } | undefined
  readonly deadCalls: number
  readonly allowed: number
}

/**
 * Since when a breaker lets calls through to a provider that is down: from the
 * beginning where it was closed then, or from when it closed because of probes
 * that had left while the provider was still well; `undefined` where it did not.
 */
const letsThroughFrom = (before: BreakerState, within: ReadonlyArray<FleetTransition>, fromMs: number) => {
  if (before === "closed") return fromMs
  const [first] = within
  return before === "half-open" && first?.to === "closed" ? first.atMs : undefined
}

const passage = (life: Life, down: Span): Passage => {
  const { calls, transitions } = life
  const before = stateAt(life, down.fromMs - 1)
  const within = transitions.filter(({ atMs }) => down.fromMs <= atMs && atMs < down.toMs)
  const since = letsThroughFrom(before, within, down.fromMs)
  const openedAt = within.find(({ atMs, to }) => to === "open" && atMs >= (since ?? 0))?.atMs
  const until = openedAt ?? down.toMs
  const ms = since === undefined ? 0 : until - since
  const tripCalls = since === undefined ? 0 : count(calls, since, until)
  const seen = openedAt !== undefined && (tripCalls <= seenWithin.calls || ms <= seenWithin.ms)
  const most = since === undefined ? 0 : Math.max(seenWithin.calls, count(calls, since, since + seenWithin.ms))
  // Every time it turns half-open after a long enough pause, it may send probes.
  const openings = within.filter(({ atMs, to }) => {
    if (to !== "half-open") return false
    const opened = transitions.findLast((one) => one.to === "open" && one.atMs <= atMs)
    return opened !== undefined && atMs - opened.atMs >= shortestOpenMs
  }).length
  return {
    // A time too short to be seen is none to be judged by.
    detection:
      since !== undefined && (openedAt !== undefined || ms > seenWithin.ms)
        ? { calls: tripCalls, ms, seen }
        : undefined,
    deadCalls: count(calls, down.fromMs, down.toMs),
    allowed: Math.min(tripCalls, most) + probesAllowed * (openings + (before === "half-open" ? 1 : 0))
  }
}

/** What happened after the provider was back for good. */
interface Recovery {
  /** Open periods that ended without closing, plus the one that led to it. */
  readonly periods: number
  readonly ms: number
}

const recovery = (life: Life, backAtMs: number, endMs: number): Recovery => {
  if (stateAt(life, backAtMs) === "closed") return { periods: 0, ms: 0 }
  const after = life.transitions.filter(({ atMs }) => atMs > backAtMs)
  const closed = after.findIndex(({ to }) => to === "closed")
  const until = closed === -1 ? after : after.slice(0, closed)
  const periods = until.filter(({ to }) => to === "half-open").length
  // Never closed: more than any bound.
  return closed === -1
    ? { periods: periods + 100, ms: endMs - backAtMs }
    : { periods, ms: (after[closed]?.atMs ?? endMs) - backAtMs }
}

const legal = new Set(["closed open", "open half-open", "half-open closed", "half-open open"])

/** Transitions that no breaker may make: from another state than the last, or of another generation than the next. */
const strange = ({ transitions }: Life): number =>
  transitions.filter((one, index) => {
    const before = transitions[index - 1]
    return (
      one.from !== (before?.to ?? "closed") ||
      one.generation !== (before?.generation ?? one.generation - 1) + 1 ||
      !legal.has(`${one.from} ${one.to}`)
    )
  }).length

/** All of it. `downs` in the order of their times; after the last of them the provider is well. */
export const figures = (run: Run, provider: string, downs: ReadonlyArray<Span>) => {
  const lives = livesOf(run, provider)
  const passages = lives.flatMap((life) => downs.map((down) => passage(life, down)))
  const detections = passages.flatMap(({ detection }) => (detection === undefined ? [] : [detection]))
  const backAtMs = downs.at(-1)?.toMs ?? 0
  const endMs = run.scenario.durationS * 1_000
  const recoveries = lives.map((life) => recovery(life, backAtMs, endMs))
  const worst = (values: ReadonlyArray<number>) => Math.max(0, ...values)
  // The worst detection is the one furthest beyond its bounds.
  const slowest = detections.toSorted(
    (a, b) =>
      Math.min(b.calls / seenWithin.calls, b.ms / seenWithin.ms) -
      Math.min(a.calls / seenWithin.calls, a.ms / seenWithin.ms)
  )[0]
  return {
    recovery_s: worst(recoveries.map(({ ms }) => ms)) / 1_000,
    ...(slowest === undefined ? {} : { detect_s: slowest.ms / 1_000, detect_calls: slowest.calls }),
    unseen: detections.filter(({ seen }) => !seen).length,
    dead_calls: passages.reduce((sum, { deadCalls }) => sum + deadCalls, 0),
    dead_calls_allowed: passages.reduce((sum, { allowed }) => sum + allowed, 0),
    dead_calls_excess: passages.reduce((sum, { allowed, deadCalls }) => sum + Math.max(0, deadCalls - allowed), 0),
    close_open_periods: worst(recoveries.map(({ periods }) => periods)),
    stale_transitions: lives.reduce((sum, life) => sum + strange(life), 0)
  }
}
