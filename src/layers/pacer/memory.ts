/**
 * Pacing by this process alone: each of `processes` takes its even part of a
 * provider's limit.
 */
import { Effect, Layer, Random } from "effect"
import type { DeadlineError, PacerError } from "../../domain/errors.ts"
import type { PacingPolicy } from "../../domain/policy.ts"
import type { EnterUnsafe } from "../../services/guard.ts"
import { Pacer } from "../../services/pacer.ts"
import * as PacerPort from "../../services/pacer.ts"
import type { PacerPermit, PacerRequest } from "../../services/pacer.ts"
import { Timers } from "../../services/timers.ts"
import { Cell } from "./cell.ts"
import type { CellOptions } from "./cell.ts"
import * as Refusals from "./refusals.ts"
import * as Supply from "./supply.ts"
import { Waiter } from "./waiter.ts"

/** Settings of all providers, of single ones, and the number of processes that share the limits. */
export interface PacerOptions {
  readonly policy: PacingPolicy
  readonly providers?: Readonly<Record<string, PacingPolicy>>
  readonly processes?: number
}

/** Makes the room of a limit by its key. */
export type SupplyOf = (key: string) => CellOptions["supply"]

const local: SupplyOf = () => (rates, now) => new Supply.Local(rates, now)

/** The service over any kind of supply. The jitter of refusals is drawn from the Random of the place where it is built. */
export const makeOver = Effect.fnUntraced(function* (
  { policy, processes = 1, providers = {} }: PacerOptions,
  supplyOf: SupplyOf,
  shares = processes
) {
  const timers = yield* Timers
  const random = yield* Random.Random
  const chance = () => random.nextDoubleUnsafe()
  const cells = new Map<string, Cell>()

  const cellOf = (provider: string, model: string): Cell => {
    const known = cells.get(model)
    if (known !== undefined) return known
    const own = (Object.hasOwn(providers, provider) ? providers[provider] : undefined) ?? policy
    const rates = Supply.ratesOf(own, shares)
    // A limit that was configured belongs to the provider, one that is learned to the model.
    const key = rates !== undefined && !own.perModel ? provider : model
    let cell = cells.get(key)
    if (cell === undefined) {
      const { burstMs, learn, maxQueue, share } = own
      const options = { key, maxQueue, learn, burstMs, share: share / shares, timers, chance, supply: supplyOf(key) }
      cell = new Cell(options, rates)
      cells.set(key, cell)
    }
    cells.set(model, cell)
    return cell
  }

  const acquireUnsafe =
    (request: PacerRequest): EnterUnsafe<PacerPermit, PacerError | DeadlineError> =>
    (restore, requestId) => {
      const cell = cellOf(request.provider, request.key)
      if (cell.isFree) return cell.free
      const now = timers.now()
      if (request.deadline.atMs <= now) return Effect.fail(Refusals.tooLate(request, requestId))
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

  return PacerPort.make({
    acquireUnsafe,
    tryAcquireUnsafe: (request) => {
      const cell = cellOf(request.provider, request.key)
      return cell.isFree ? cell.freePermit : cell.tryTake(request, timers.now())
    },
    state: (provider, key) => Effect.sync(() => cellOf(provider, key).state(timers.now()))
  })
})

/** Limits kept by this process. */
export const make = (options: PacerOptions) => makeOver(options, local)

/** {@link make} as a layer. */
export const layer = (options: PacerOptions): Layer.Layer<Pacer, never, Timers> => Layer.effect(Pacer, make(options))
