/**
 * Calls without any bound, or behind p-limit's queue, each given up at the
 * visitor's deadline.
 */
import pLimit from "p-limit"
import type { Baseline } from "../world/play.ts"
import * as Deadline from "./deadline.ts"

/** Every visit calls at once. Its call is aborted when the visitor's time is over. */
export const fanOut =
  (options: { readonly provider: string }): Baseline =>
  (call) =>
  (visit, firstToken) =>
    Deadline.within(visit.patienceMs, async (signal) => {
      const { ended } = await call(options.provider, visit, signal)
      firstToken()
      await ended
    })

/** A full queue turned the visit away. */
class QueueFull extends Error {
  override readonly name = "QueueFull"
}

/**
 * p-limit 7 with `places` at a time, first come first served. The deadline
 * counts from the visit, its wait included, and ends the call; who has left is
 * not called for any more. With `maxQueue`, visits beyond it are refused, as
 * p-limit's `pendingCount` allows.
 */
export const fifo =
  (options: { readonly provider: string; readonly places: number; readonly maxQueue?: number }): Baseline =>
  (call) => {
    const limit = pLimit(options.places)
    return (visit, firstToken) => {
      if (limit.pendingCount >= (options.maxQueue ?? Infinity))
        return Promise.reject(new QueueFull("the queue is full"))
      return Deadline.within(visit.patienceMs, (signal) =>
        limit(async () => {
          // Nobody waits any more: a visit that has left gives its turn to the next.
          signal.throwIfAborted()
          const { ended } = await call(options.provider, visit, signal)
          firstToken()
          await ended
        })
      )
    }
  }
