/**
 * What is given back and settled, on its way to Redis: a queue that goes out in
 * one script some ms later, for nobody waits for it.
 *
 * Leases and reservations have ids, so saying twice that they are over does no
 * harm, and they are said again until Redis has confirmed it. A bucket of a
 * rate limit has none: where no answer comes, it is left as it is, and fills up
 * by itself.
 */
import { Effect } from "effect"
import type { Timers } from "../../services/timers.ts"
import type { RedisClient } from "../redis/client.ts"
import * as Lua from "./lua.ts"

/** One operation of `Lua.settle`, as arguments. */
export type Operation = ReadonlyArray<string | number>

/** The way back. */
export interface Settlements {
  /** Say it in the background. */
  readonly push: (operation: Operation) => void
  /** Operations that Redis has not confirmed. */
  readonly pending: () => number
  /** Succeeds when everything pushed so far is confirmed. */
  readonly flush: Effect.Effect<void>
}

/** Longest that an operation waits for company (ms). */
const companyMs = 10
/** Pause (ms) before saying again what was not confirmed. */
const againMs = 100
/** Most operations in one script: some 100 us of the server. */
const mostAtOnce = 64
/** Most operations kept while Redis is away; beyond it the oldest are dropped, and come back by expiry. */
const mostKept = 200_000
/** Longest that closing waits for Redis to confirm (ms). */
const closingMs = 2_000

const repeatable = (operation: Operation): boolean => operation[0] !== "-" && operation[0] !== "+"

/** The queue over a client. */
export const make = Effect.fnUntraced(function* (
  client: RedisClient["Service"],
  timers: Timers["Service"],
  books: boolean
) {
  let queue: Array<Operation> = []
  let flying = 0
  let closed = false
  let waiters: Array<() => void> = []
  const timer = timers.make(() => send())

  const send = (): void => {
    while (queue.length > 0) {
      if (!client.usable()) return timer.arm(timers.now() + againMs)
      const batch = queue.length <= mostAtOnce ? queue : queue.slice(0, mostAtOnce)
      queue = queue.length <= mostAtOnce ? [] : queue.slice(mostAtOnce)
      say(batch)
    }
  }
  const say = (batch: ReadonlyArray<Operation>): void => {
    flying += batch.length
    const args = [client.key(""), books ? "1" : "0", ...batch.flat()]
    client.runUnsafe(Lua.settle, [client.key("fence")], args, (error) => {
      flying -= batch.length
      if (error !== undefined && error.reason._tag !== "Script") {
        queue = [...batch.filter(repeatable), ...queue]
        if (queue.length > mostKept) queue = queue.slice(queue.length - mostKept)
        timer.arm(timers.now() + againMs)
      }
      if (queue.length === 0 && flying === 0) {
        const done = waiters
        waiters = []
        for (const waiter of done) waiter()
      }
    })
  }

  const flush = Effect.callback<void>((resume) => {
    if (queue.length === 0 && flying === 0) return resume(Effect.void)
    waiters.push(() => resume(Effect.void))
    send()
  })
  yield* Effect.addFinalizer(() =>
    Effect.suspend(() => {
      closed = true
      return Effect.asVoid(Effect.timeoutOption(flush, closingMs))
    })
  )
  const settlements: Settlements = {
    push: (operation) => {
      queue.push(operation)
      if (queue.length === 1) timer.arm(timers.now() + (closed ? 0 : companyMs))
      else if (queue.length === mostAtOnce) send()
    },
    pending: () => queue.length + flying,
    flush
  }
  return settlements
})
