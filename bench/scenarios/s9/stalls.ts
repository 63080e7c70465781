/**
 * Where a measuring process was itself asleep: spans in which its event loop did not turn, because of its own work, a
 * collection, or a machine that gave its core to somebody else. A time read right after such a span is late by up to
 * its length, so a measurement that overlaps one says nothing about the server under test.
 */
import { sharedMs } from "./clock.ts"

/** A span on the shared clock. */
export interface Stall {
  readonly fromMs: number
  readonly toMs: number
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

/** A turn later than this is a stall. */
const stallMs = 10

export interface Watch {
  /** What has been seen since the last report. */
  readonly report: () => LoopReport
  readonly stop: () => void
}

const quantileOf = (sorted: ReadonlyArray<number>, share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? 0

/** Begin to watch this process's event loop. Does not keep the process alive. */
export const watch = (): Watch => {
  let delays: Array<number> = []
  let stalls: Array<Stall> = []
  let last = sharedMs()
  const timer = setInterval(() => {
    const now = sharedMs()
    const delay = Math.max(0, now - last - everyMs)
    delays.push(delay)
    if (delay > stallMs) stalls.push({ fromMs: last, toMs: now })
    last = now
  }, everyMs)
  timer.unref()
  return {
    report: () => {
      const sorted = delays.toSorted((a, b) => a - b)
      const report = { stalls, delayP99Ms: quantileOf(sorted, 0.99), delayMaxMs: sorted.at(-1) ?? 0 }
      delays = []
      stalls = []
      return report
    },
    stop: () => clearInterval(timer)
  }
}

/** Whether any of the stalls overlaps the span. */
export const overlaps = (stalls: ReadonlyArray<Stall>, fromMs: number, toMs: number): boolean =>
  stalls.some((stall) => stall.fromMs < toMs && stall.toMs > fromMs)
