/**
 * The bulkhead of this process: a limit for each key and a bounded queue, first
 * come first served, before it.
 *
 * A free place is taken in one synchronous step. A place that is given back
 * goes straight to the first waiter: the number in flight does not drop in
 * between, so nobody can overtake. A waiter leaves the queue at once when it
 * is interrupted, waits too long, or its deadline passes; a place that was
 * handed to a waiter which is interrupted before it wakes goes on to the next.
 *
 * Keys are the configured providers, so their number is small and they are
 * never forgotten.
 */
import { Effect, Layer, Random } from "effect"
import { BulkheadError, DeadlineError } from "../../domain/errors.ts"
import type { BulkheadPolicy } from "../../domain/policy.ts"
import { Bulkhead } from "../../services/bulkhead.ts"
import * as BulkheadPort from "../../services/bulkhead.ts"
import type { BulkheadPermit, BulkheadRequest } from "../../services/bulkhead.ts"
import * as Guard from "../../services/guard.ts"
import { Timers } from "../../services/timers.ts"
import type { Timer } from "../../services/timers.ts"
import * as WaitQueue from "./wait-queue.ts"

/** What a wait ends with: the ms it took, or why it was in vain. */
type Waited = Effect.Effect<number, BulkheadError | DeadlineError>

/** A claim in the queue. `granted` means that it owns a place, awake or not. */
interface Waiter extends WaitQueue.Node<Waiter> {
  readonly request: BulkheadRequest
  readonly requestId: string | undefined
  readonly since: number
  status: "waiting" | "granted" | "gone"
  timer: Timer | undefined
  /** Hands the result over; set once the waiter listens. */
  wake: ((result: Waited) => void) | undefined
  /** Set when the result came before the waiter had begun to listen. */
  result: Waited | undefined
}

interface Cell {
  readonly policy: BulkheadPolicy
  readonly queue: WaitQueue.WaitQueue<Waiter>
  inFlight: number
}

const tooLate = (requestId: string | undefined, request: BulkheadRequest): DeadlineError =>
  new DeadlineError({
    ...Guard.withRequestId(requestId),
    reason: { _tag: "Exceeded", stage: "queue", budgetMs: request.deadline.budgetMs }
  })

/** Give back a place: to the first waiter that still has time, or to whoever comes next. */
const release = (cell: Cell, now: number): void => {
  let waiter = WaitQueue.shift(cell.queue)
  while (waiter !== undefined) {
    waiter.timer?.disarm()
    if (now < waiter.request.deadline.atMs) {
      waiter.status = "granted"
      finish(waiter, Effect.succeed(Math.max(0, now - waiter.since)))
      return
    }
    // Its timer is about to ring; the place must not be lost on it.
    waiter.status = "gone"
    finish(waiter, Effect.fail(tooLate(waiter.requestId, waiter.request)))
    waiter = WaitQueue.shift(cell.queue)
  }
  cell.inFlight--
}

const finish = (waiter: Waiter, result: Waited): void => {
  waiter.result = result
  waiter.wake?.(result)
}

/** The waiter will not use its place in the queue, or the one it was given. */
const abandon = (cell: Cell, waiter: Waiter, now: number): void => {
  const { status } = waiter
  waiter.status = "gone"
  if (status === "waiting") {
    waiter.timer?.disarm()
    WaitQueue.remove(cell.queue, waiter)
  } else if (status === "granted") {
    release(cell, now)
  }
}

/**
 * `overrides` replaces values for single keys. `retryAfterMs` of a refusal is
 * the longest wait times 0.5 to 1.5, drawn from Random, so that those who were
 * refused together do not come back together.
 */
export const make = Effect.fnUntraced(function* (
  policy: BulkheadPolicy,
  overrides: Readonly<Record<string, Partial<BulkheadPolicy>>> = {}
) {
  const timers = yield* Timers
  const random = yield* Random.Random
  const cells = new Map<string, Cell>()

  const cellOf = (key: string): Cell => {
    let cell = cells.get(key)
    if (cell === undefined) {
      const own = Object.hasOwn(overrides, key) ? overrides[key] : undefined
      cell = { policy: { ...policy, ...own }, queue: WaitQueue.make(), inFlight: 0 }
      cells.set(key, cell)
    }
    return cell
  }

  const retryAfterMs = (cell: Cell): number => cell.policy.maxWaitMs * (0.5 + random.nextDoubleUnsafe())

  const expire = (cell: Cell, waiter: Waiter): void => {
    if (waiter.status !== "waiting") return
    const now = timers.now()
    abandon(cell, waiter, now)
    const { request, requestId, since } = waiter
    finish(
      waiter,
      Effect.fail(
        now >= request.deadline.atMs
          ? tooLate(requestId, request)
          : new BulkheadError({
              ...Guard.withRequestId(requestId),
              reason: {
                _tag: "QueueTimeout",
                key: request.key,
                waitedMs: now - since,
                retryAfterMs: retryAfterMs(cell)
              }
            })
      )
    )
  }

  /** A permit that goes to the next waiter, once, when it is released. */
  const permit = (cell: Cell, waitedMs: number): BulkheadPermit => {
    let held = true
    return {
      waitedMs,
      firstToken: () => {},
      pace: () => {},
      answered: () => {},
      dropped: () => {},
      settle: () => {},
      release: () => {
        if (!held) return
        held = false
        release(cell, timers.now())
      }
    }
  }

  const queued = (
    cell: Cell,
    request: BulkheadRequest,
    now: number,
    restore: Guard.Restore,
    requestId: string | undefined
  ): Effect.Effect<BulkheadPermit, BulkheadError | DeadlineError> => {
    const waiter: Waiter = {
      request,
      requestId,
      since: now,
      status: "waiting",
      timer: undefined,
      wake: undefined,
      result: undefined,
      previous: undefined,
      next: undefined
    }
    WaitQueue.push(cell.queue, waiter)
    waiter.timer = timers.make(() => expire(cell, waiter))
    waiter.timer.arm(Math.min(request.deadline.atMs, now + cell.policy.maxWaitMs))
    const wait = Effect.withFiber<number, BulkheadError | DeadlineError>((fiber) =>
      Effect.callback((resume) => {
        if (waiter.result !== undefined) {
          resume(waiter.result)
          return
        }
        // In its own dispatcher's turn: here it would run inside the finalizer that released.
        waiter.wake = (result) => fiber.currentDispatcher.scheduleTask(() => resume(result), 0)
      })
    )
    return Effect.matchCauseEffect(restore(wait), {
      onFailure: (cause) => {
        abandon(cell, waiter, timers.now())
        return Effect.failCause(cause)
      },
      onSuccess: (waitedMs) => Effect.succeed(permit(cell, waitedMs))
    })
  }

  const acquireUnsafe =
    (request: BulkheadRequest): Guard.EnterUnsafe<BulkheadPermit, BulkheadError | DeadlineError> =>
    (restore, requestId) => {
      const cell = cellOf(request.key)
      const now = timers.now()
      if (request.deadline.atMs <= now) return Effect.fail(tooLate(requestId, request))
      if (cell.inFlight < cell.policy.maxInFlight) {
        cell.inFlight++
        return Effect.succeed(permit(cell, 0))
      }
      if (cell.queue.size < cell.policy.maxQueue) return queued(cell, request, now, restore, requestId)
      return Effect.fail(
        new BulkheadError({
          ...Guard.withRequestId(requestId),
          reason: { _tag: "QueueFull", key: request.key, retryAfterMs: retryAfterMs(cell) }
        })
      )
    }

  return BulkheadPort.make({
    acquireUnsafe,
    tryAcquireUnsafe: (request) => {
      const cell = cellOf(request.key)
      if (cell.inFlight >= cell.policy.maxInFlight) return undefined
      cell.inFlight++
      return permit(cell, 0)
    },
    state: (key) =>
      Effect.sync(() => {
        const cell = cellOf(key)
        return { limit: cell.policy.maxInFlight, inFlight: cell.inFlight, queued: cell.queue.size }
      })
  })
})

/** {@link make} as a layer. */
export const layer = (
  policy: BulkheadPolicy,
  overrides?: Readonly<Record<string, Partial<BulkheadPolicy>>>
): Layer.Layer<Bulkhead, never, Timers> => Layer.effect(Bulkhead, make(policy, overrides))
