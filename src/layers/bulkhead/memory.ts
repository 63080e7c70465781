/**
 * The bulkheads of this process, one for each key (`cell.ts`).
 *
 * Keys are the configured providers, so their number is small and they are
 * never forgotten.
 */
import { Effect, Layer, Random } from "effect"
import type { BulkheadError, DeadlineError } from "../../domain/errors.ts"
import type { BulkheadPolicy } from "../../domain/policy.ts"
import { Bulkhead } from "../../services/bulkhead.ts"
import * as BulkheadPort from "../../services/bulkhead.ts"
import type { BulkheadPermit, BulkheadRequest } from "../../services/bulkhead.ts"
import type { EnterUnsafe } from "../../services/guard.ts"
import { Timers } from "../../services/timers.ts"
import { adaptive } from "./adaptive-limit.ts"
import { Cell } from "./cell.ts"
import { fixed } from "./limit.ts"
import type { Limit } from "./limit.ts"
import { tooLate } from "./refusals.ts"
import { Waiter } from "./waiter.ts"

/** Makes the limit of one key. */
export type LimitOf = (policy: BulkheadPolicy) => Limit

/** The limit that the policy names: fixed, or learned. */
export const limitOf: LimitOf = (policy) => (policy.adaptive ? adaptive(policy) : fixed(policy.maxInFlight))

/** `overrides` replaces values for single keys. The jitter of refusals is drawn from the Random of the place where it is built. */
export const make = Effect.fnUntraced(function* (
  policy: BulkheadPolicy,
  overrides: Readonly<Record<string, Partial<BulkheadPolicy>>> = {},
  makeLimit: LimitOf = limitOf
) {
  const timers = yield* Timers
  const random = yield* Random.Random
  const chance = () => random.nextDoubleUnsafe()
  const cells = new Map<string, Cell>()

  const cellOf = (key: string): Cell => {
    let cell = cells.get(key)
    if (cell === undefined) {
      const own = { ...policy, ...(Object.hasOwn(overrides, key) ? overrides[key] : undefined) }
      cell = new Cell(own, makeLimit(own), timers, chance)
      cells.set(key, cell)
    }
    return cell
  }

  const acquireUnsafe =
    (request: BulkheadRequest): EnterUnsafe<BulkheadPermit, BulkheadError | DeadlineError> =>
    (restore, requestId) => {
      const cell = cellOf(request.key)
      const now = timers.now()
      if (request.deadline.atMs <= now) return Effect.fail(tooLate(request, requestId))
      const permit = cell.tryTake(request, now)
      if (permit !== undefined) return Effect.succeed(permit)
      const waiter = cell.enqueue(request, requestId, now)
      if (!(waiter instanceof Waiter)) return Effect.fail(waiter)
      return Effect.matchCauseEffect(restore(waiter.wait), {
        onFailure: (cause) => {
          cell.abandon(waiter)
          return Effect.failCause(cause)
        },
        onSuccess: (granted) => Effect.succeed(granted)
      })
    }

  return BulkheadPort.make({
    acquireUnsafe,
    tryAcquireUnsafe: (request) => cellOf(request.key).tryTake(request, timers.now()),
    state: (key) => Effect.sync(() => cellOf(key).state)
  })
})

/** {@link make} as a layer. */
export const layer = (
  policy: BulkheadPolicy,
  overrides?: Readonly<Record<string, Partial<BulkheadPolicy>>>
): Layer.Layer<Bulkhead, never, Timers> => Layer.effect(Bulkhead, make(policy, overrides))
