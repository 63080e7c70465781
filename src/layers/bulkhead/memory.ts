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
import type { Fiber } from "effect"
import { BulkheadError, DeadlineError } from "../../domain/errors.ts"
import type { BulkheadPolicy } from "../../domain/policy.ts"
import { Bulkhead } from "../../services/bulkhead.ts"
import type { BulkheadRequest } from "../../services/bulkhead.ts"
import * as Guard from "../../services/guard.ts"
import { Timers } from "../../services/timers.ts"
import type { Timer } from "../../services/timers.ts"
import * as WaitQueue from "./wait-queue.ts"

type AnyFiber = Fiber.Fiber<unknown, unknown>

/** A claim in the queue. `granted` means that it owns a place, awake or not. */
interface Waiter extends WaitQueue.Node<Waiter> {
  readonly request: BulkheadRequest
  readonly fiber: AnyFiber
  readonly since: number
  status: "waiting" | "granted" | "gone"
  timer: Timer | undefined
  wake: ((result: Effect.Effect<number, BulkheadError | DeadlineError>) => void) | undefined
  /** Set when the result came before the waiter had begun to listen. */
  result: Effect.Effect<number, BulkheadError | DeadlineError> | undefined
}

type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

interface Cell {
  readonly policy: BulkheadPolicy
  readonly queue: WaitQueue.WaitQueue<Waiter>
  inFlight: number
}

const tooLate = (fiber: AnyFiber, request: BulkheadRequest): DeadlineError =>
  new DeadlineError({
    ...Guard.requestId(fiber),
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
    finish(waiter, Effect.fail(tooLate(waiter.fiber, waiter.request)))
    waiter = WaitQueue.shift(cell.queue)
  }
  cell.inFlight--
}

/** Wake the waiter in its own dispatcher's turn: waking it here would run it inside the finalizer that released. */
const finish = (waiter: Waiter, result: Effect.Effect<number, BulkheadError | DeadlineError>): void => {
  waiter.result = result
  if (waiter.wake !== undefined) waiter.fiber.currentDispatcher.scheduleTask(() => waiter.wake?.(result), 0)
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

  const retryAfterMs = (fiber: AnyFiber, cell: Cell): number =>
    cell.policy.maxWaitMs * (0.5 + fiber.getRef(Random.Random).nextDoubleUnsafe())

  const expire = (cell: Cell, waiter: Waiter): void => {
    if (waiter.status !== "waiting") return
    const now = timers.now()
    abandon(cell, waiter, now)
    const { fiber, request, since } = waiter
    finish(
      waiter,
      Effect.fail(
        now >= request.deadline.atMs
          ? tooLate(fiber, request)
          : new BulkheadError({
              ...Guard.requestId(fiber),
              reason: {
                _tag: "QueueTimeout",
                key: request.key,
                waitedMs: now - since,
                retryAfterMs: retryAfterMs(fiber, cell)
              }
            })
      )
    )
  }

  /** Only inside an uninterruptible region: `restore` makes the wait itself interruptible, what follows it is not. */
  const queued = (fiber: AnyFiber, cell: Cell, request: BulkheadRequest, now: number, restore: Restore) => {
    const waiter: Waiter = {
      request,
      fiber,
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
    const wait = Effect.callback<number, BulkheadError | DeadlineError>((resume) => {
      if (waiter.result === undefined) waiter.wake = resume
      else resume(waiter.result)
    })
    return Effect.matchCauseEffect(restore(wait), {
      onFailure: (cause) => {
        abandon(cell, waiter, timers.now())
        return Effect.failCause(cause)
      },
      onSuccess: (waitedMs) =>
        Guard.held(fiber, waitedMs, () => {
          release(cell, timers.now())
          return Effect.void
        })
    })
  }

  const acquire = (request: BulkheadRequest): Effect.Effect<number, BulkheadError | DeadlineError> =>
    Effect.uninterruptibleMask((restore) =>
      Effect.withFiber<number, BulkheadError | DeadlineError>((fiber) => {
        const cell = cellOf(request.key)
        const now = timers.now()
        if (request.deadline.atMs <= now) return Effect.fail(tooLate(fiber, request))
        if (cell.inFlight < cell.policy.maxInFlight) {
          cell.inFlight++
          return Guard.held(fiber, 0, () => {
            release(cell, timers.now())
            return Effect.void
          })
        }
        if (cell.queue.size < cell.policy.maxQueue) return queued(fiber, cell, request, now, restore)
        return Effect.fail(
          new BulkheadError({
            ...Guard.requestId(fiber),
            reason: { _tag: "QueueFull", key: request.key, retryAfterMs: retryAfterMs(fiber, cell) }
          })
        )
      })
    )

  return Bulkhead.of({
    acquire,
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
