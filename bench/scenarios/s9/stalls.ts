/**
 * When a process was asleep: spans in which its event loop did not turn, because of its own work, a collection, or a
 * machine that gave its core to somebody else.
 *
 * A time that a measuring process reads right after such a span is late by up to its length, and a server that was
 * ready to run and got no core is not slow. Measurements in which this makes more than a tenth of what is allowed say
 * nothing about the server under test: they are left out, and counted. A server that is busy with its own work is
 * measured as it is.
 */
import * as fs from "node:fs"
import { sharedMs } from "./clock.ts"

/** A span on the shared clock, and how much of it the process was ready to run and waited for a core. */
export interface Stall {
  readonly fromMs: number
  readonly toMs: number
  readonly waitedMs: number
}

/** Stalls of one process, and what its event loop's delay was on the whole. */
export interface LoopReport {
  readonly stalls: ReadonlyArray<Stall>
  /** Delay of the loop's turns beyond their time, over all of them. */
  readonly delayP99Ms: number
  readonly delayMaxMs: number
}

/** How often the loop is looked at. */
const everyMs = 5

/** A turn later than this is a stall, and one that waited for a core longer than this. */
const stallMs = 10
const waitMs = 1

export interface Watch {
  /** What has been seen since the last report. */
  readonly report: () => LoopReport
  /** The same, and the watch is over. */
  readonly end: () => LoopReport
}

const quantileOf = (sorted: ReadonlyArray<number>, share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? 0

const schedulerFile = "/proc/thread-self/schedstat"
const hasScheduler = fs.existsSync(schedulerFile)

/** How long this thread has waited for a core in its life, in ms; 0 where the system does not say. */
const waitedMs = (): number => (hasScheduler ? Number(fs.readFileSync(schedulerFile, "utf8").split(" ")[1]) / 1e6 : 0)

/** Begin to watch this process's event loop. Does not keep the process alive. */
export const watch = (): Watch => {
  let delays: Array<number> = []
  let stalls: Array<Stall> = []
  let last = sharedMs()
  let waited = waitedMs()
  const timer = setInterval(() => {
    const now = sharedMs()
    const delay = Math.max(0, now - last - everyMs)
    delays.push(delay)
    const before = waited
    waited = waitedMs()
    const wait = waited - before
    if (delay > stallMs || wait > waitMs) stalls.push({ fromMs: last, toMs: now, waitedMs: wait })
    last = now
  }, everyMs)
  timer.unref()
  const report = (): LoopReport => {
    const sorted = delays.toSorted((a, b) => a - b)
    const seen = { stalls, delayP99Ms: quantileOf(sorted, 0.99), delayMaxMs: sorted.at(-1) ?? 0 }
    delays = []
    stalls = []
    return seen
  }
  return {
    report,
    end: () => {
      clearInterval(timer)
      return report()
    }
  }
}

/** What is read so soon after a stall was late because of it. */
const afterMs = 5

const sum = (stalls: ReadonlyArray<Stall>, of: (stall: Stall) => number): number =>
  stalls.reduce((total, stall) => total + of(stall), 0)

const during = (stalls: ReadonlyArray<Stall>, fromMs: number, toMs: number): ReadonlyArray<Stall> =>
  stalls.filter((stall) => stall.fromMs < toMs && stall.toMs > fromMs)

/** Whether the end of a span, which a process with these stalls has read, may have come more than `byMs` before that. */
export const readLate = (stalls: ReadonlyArray<Stall>, fromMs: number, toMs: number, byMs: number): boolean =>
  sum(during(stalls, Math.max(fromMs, toMs - afterMs), toMs), (stall) => stall.toMs - stall.fromMs - everyMs) > byMs

/** Whether a server with these stalls waited for a core for more than `byMs` of the span. */
export const starved = (stalls: ReadonlyArray<Stall>, fromMs: number, toMs: number, byMs: number): boolean =>
  sum(during(stalls, fromMs, toMs), (stall) => stall.waitedMs) > byMs
