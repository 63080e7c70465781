/**
 * Open loop: requests leave on a fixed timetable whatever the answers do, and latency counts from the time a request
 * was due. A request that finds every connection busy waits for one, and its wait is part of its latency.
 */
import { Worker } from "node:worker_threads"
import type { Connection } from "./http-client.ts"
import { monotonicMs } from "./pacer.ts"
import type { Schedule } from "./pacer.ts"
import { errorTally, quantile } from "./tally.ts"
import type { Errors } from "./tally.ts"

export interface OpenResult {
  readonly completed: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
  /** How late the generator itself wrote a request for which a connection was free (99 of 100). */
  readonly lagP99Ms: number
  readonly errors: Errors
}

const GRACE_MS = 15_000

let pacer: Worker | undefined

const startPacer = (): Worker => {
  if (pacer === undefined) {
    pacer = new Worker(new URL("pacer.ts", import.meta.url))
    pacer.unref()
  }
  pacer.removeAllListeners("message")
  return pacer
}

export const openLoop = (connections: ReadonlyArray<Connection>, seconds: number, rate: number): Promise<OpenResult> =>
  new Promise((resolve) => {
    const { add, errors } = errorTally()
    const ticks = Math.round(seconds * rate)
    const schedule: Schedule = { startMs: monotonicMs() + 100, intervalMs: 1000 / rate, ticks }
    const latencies: Array<number> = []
    const lags: Array<number> = []
    const free = [...connections]
    const due: Array<number> = []
    let next = 0
    let finished = 0
    let stopped = false
    const finish = (): void => {
      if (stopped) return
      stopped = true
      clearTimeout(deadline)
      resolve({
        completed: latencies.length,
        p50Ms: quantile(latencies, 0.5),
        p99Ms: quantile(latencies, 0.99),
        maxMs: quantile(latencies, 1),
        lagP99Ms: quantile(lags, 0.99),
        errors
      })
    }
    const deadline = setTimeout(
      () => {
        add(`${ticks - finished} requests without an answer`)
        for (const connection of connections) connection.close()
        finish()
      },
      seconds * 1000 + GRACE_MS
    )
    const send = (connection: Connection, dueMs: number): void => {
      connection.send((error) => {
        finished++
        if (error === undefined) latencies.push(monotonicMs() - dueMs)
        else add(error)
        if (finished === ticks) finish()
        const waiting = due.shift()
        if (waiting === undefined) free.push(connection)
        else if (!stopped) send(connection, waiting)
      })
    }
    const tick = (dueMs: number): void => {
      const connection = free.shift()
      if (connection === undefined) {
        due.push(dueMs)
        return
      }
      lags.push(monotonicMs() - dueMs)
      send(connection, dueMs)
    }
    const worker = startPacer()
    worker.on("message", () => {
      if (!stopped) tick(schedule.startMs + next++ * schedule.intervalMs)
    })
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker thread has no origin
    worker.postMessage(schedule)
  })
