/**
 * A clock in a thread of its own. Node's timers have a grain of 1 ms, too coarse for latencies of a fraction of that,
 * and spinning would take the core from the mock; a blocking wait with a fractional timeout does neither. Posts one
 * message when each tick is due.
 */
import { parentPort } from "node:worker_threads"

export interface Schedule {
  readonly startMs: number
  readonly intervalMs: number
  readonly ticks: number
}

/** Milliseconds on a clock that every thread of the process shares. */
export const monotonicMs = (): number => {
  const [seconds, nanoseconds] = process.hrtime()
  return seconds * 1000 + nanoseconds / 1e6
}

const cell = new Int32Array(new SharedArrayBuffer(4))

parentPort?.on("message", ({ intervalMs, startMs, ticks }: Schedule) => {
  for (let tick = 0; tick < ticks; tick++) {
    const wait = startMs + tick * intervalMs - monotonicMs()
    if (wait > 0) Atomics.wait(cell, 0, 0, wait)
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker thread has no origin
    parentPort?.postMessage(tick)
  }
})
