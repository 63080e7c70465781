/**
 * Rows of a store, kept in memory for a short life and read again when they
 * are asked for: one lookup at a time for all ids that are wanted, and one for
 * all who want the same.
 *
 * What is known is answered at once. A row is read again in the background
 * from half of its life on, so that those in use are never waited for. While
 * the store cannot be asked, rows are good for a grace beyond their life.
 *
 * The delicate case is a change during a lookup: the lookup may have read the
 * row as it was before. A row that is evicted while it is looked up is looked
 * up once more, and what the first lookup found is given to nobody.
 */
import { Deferred, Effect, Exit, Queue } from "effect"
import type { Scope } from "effect"
import { StoreError } from "../../domain/errors.ts"

/**
 * - `lookup`: the rows of some ids; an id it leaves out has none
 * - `healthy`: whether changes are heard of at the moment, so that rows past their life have to be read again
 * - `lifeMs`, `missingLifeMs`: how long a row, or that there is none, is good for
 * - `graceMs`: how much longer a row is good for while the store is away
 * - `max`: most rows kept, and most ids kept of which there is no row; the oldest go first
 * - `waitMs`: longest wait of a caller; the lookup goes on without it, up to `lookupMs`
 */
export interface Options<V> {
  readonly lookup: (ids: ReadonlyArray<string>) => Effect.Effect<ReadonlyMap<string, V>, StoreError>
  readonly now: () => number
  readonly healthy: () => boolean
  readonly lifeMs: number
  readonly missingLifeMs: number
  readonly graceMs: number
  readonly max: number
  readonly waitMs: number
  readonly lookupMs: number
}

/** What is known of an id. `value` is `undefined` where the store has no row of it. */
export interface Known<V> {
  readonly value: V | undefined
  readonly loadedAt: number
  /** How many doubts there had been. */
  readonly doubts: number
}

export interface ReadThrough<V> {
  /** What is known and may be used now. */
  readonly peek: (id: string) => Known<V> | undefined
  /** The same, from the store where it is not known; an `Exit` where it is. */
  readonly load: (id: string) => Effect.Effect<Known<V>, StoreError>
  /** Forget an id: it has changed. */
  readonly evict: (id: string) => void
  /** Forget everything that `changed` says yes to. */
  readonly evictWhere: (changed: (id: string, value: V | undefined) => boolean) => void
  /** Something has changed, and nobody knows what: all rows are past their life, but within their grace. */
  readonly doubt: () => void
}

/** Most ids of one lookup, and most that may wait for one: whoever makes up keys fills no memory and blocks no others. */
const batch = 256
const mostFlights = 4_096

/** After a failed lookup, nobody tries again for so long (ms). */
const pauseMs = 250

/** Lookups run in the scope's own fiber: no caller's end stops one that others wait for. */
export const make = <V>(options: Options<V>): Effect.Effect<ReadThrough<V>, never, Scope.Scope> =>
  Effect.gen(function* () {
    const { graceMs, healthy, lifeMs, lookup, lookupMs, max, missingLifeMs, now, waitMs } = options
    const rows = new Map<string, Known<V>>()
    const missing = new Map<string, Known<V>>()
    interface Flight {
      readonly done: Deferred.Deferred<Known<V>, StoreError>
      dirty: boolean
    }
    const flights = new Map<string, Flight>()
    let doubts = 0
    const wanted = yield* Queue.unbounded<string>()
    let failure: { readonly error: StoreError; readonly atMs: number } | undefined

    const keep = (id: string, known: Known<V>) => {
      rows.delete(id)
      missing.delete(id)
      const into = known.value === undefined ? missing : rows
      into.set(id, known)
      if (into.size <= max) return
      for (const oldest of into.keys()) {
        into.delete(oldest)
        return
      }
    }

    /** Why not to ask now, where the last lookup failed a moment ago. */
    const paused = (): StoreError | undefined => {
      const since = failure === undefined ? Infinity : now() - failure.atMs
      return since >= 0 && since < pauseMs ? failure?.error : undefined
    }

    const fly = (id: string): Flight => {
      const flying = flights.get(id)
      if (flying !== undefined) return flying
      const flight = { done: Deferred.makeUnsafe<Known<V>, StoreError>(), dirty: false }
      flights.set(id, flight)
      Queue.offerUnsafe(wanted, id)
      return flight
    }

    const refresh = (id: string) => {
      if (flights.size < mostFlights && paused() === undefined) fly(id)
    }

    /** A row within its life and its grace, whatever the store's health. */
    const lastKnown = (id: string): Known<V> | undefined => {
      const known = rows.get(id)
      if (known === undefined) return undefined
      const age = now() - known.loadedAt
      return age >= 0 && age < lifeMs + graceMs ? known : undefined
    }

    const peek = (id: string): Known<V> | undefined => {
      const known = rows.get(id) ?? missing.get(id)
      if (known === undefined) return undefined
      const age = now() - known.loadedAt
      // A clock that was set back: how old this is, nobody knows.
      if (age < 0) return undefined
      const isSure = known.doubts === doubts
      if (known.value === undefined) return isSure && age < missingLifeMs ? known : undefined
      if (isSure && age < lifeMs / 2) return known
      if (isSure && age < lifeMs) {
        refresh(id)
        return known
      }
      if (age >= lifeMs + graceMs || healthy()) return undefined
      refresh(id)
      return known
    }

    const full = new StoreError({
      store: "postgres",
      reason: { _tag: "Unavailable", detail: "too many lookups are waiting" }
    })
    const late = new StoreError({ store: "postgres", reason: { _tag: "Timeout", afterMs: waitMs } })
    const lookupLate = new StoreError({ store: "postgres", reason: { _tag: "Timeout", afterMs: lookupMs } })

    const load = (id: string): Effect.Effect<Known<V>, StoreError> => {
      const known = peek(id)
      if (known !== undefined) return Exit.succeed(known)
      const refused = paused() ?? (flights.size >= mostFlights && !flights.has(id) ? full : undefined)
      const fallback = lastKnown(id)
      if (refused !== undefined) return fallback === undefined ? Exit.fail(refused) : Exit.succeed(fallback)
      return Deferred.await(fly(id).done).pipe(
        Effect.timeoutOrElse({ duration: waitMs, orElse: () => Effect.fail(late) }),
        Effect.catch((error) => {
          const last = lastKnown(id)
          return last === undefined ? Effect.fail(error) : Effect.succeed(last)
        })
      )
    }

    const landed = (ids: ReadonlyArray<string>, exit: Exit.Exit<ReadonlyMap<string, V>, StoreError>) => {
      const loadedAt = now()
      if (Exit.isFailure(exit)) {
        const error = exit.cause.reasons.find((reason) => reason._tag === "Fail")?.error
        failure = error === undefined ? undefined : { error, atMs: loadedAt }
      } else {
        failure = undefined
      }
      for (const id of ids) {
        const flight = flights.get(id)
        if (flight === undefined) continue
        if (flight.dirty && Exit.isSuccess(exit)) {
          flight.dirty = false
          Queue.offerUnsafe(wanted, id)
          continue
        }
        flights.delete(id)
        const known = Exit.map(exit, (found): Known<V> => ({ value: found.get(id), loadedAt, doubts }))
        if (Exit.isSuccess(known)) keep(id, known.value)
        Deferred.doneUnsafe(flight.done, known)
      }
    }

    const next = Effect.gen(function* () {
      const ids = yield* Queue.takeBetween(wanted, 1, batch)
      const found = lookup(ids).pipe(
        Effect.timeoutOrElse({ duration: lookupMs, orElse: () => Effect.fail(lookupLate) })
      )
      landed(ids, yield* Effect.exit(found))
    })
    yield* Effect.forkScoped(Effect.forever(next))

    const evict = (id: string) => {
      rows.delete(id)
      missing.delete(id)
      const flight = flights.get(id)
      if (flight !== undefined) flight.dirty = true
    }
    /** What a lookup under way will find is not known yet, so it is looked at again. */
    const lookAgain = () => {
      for (const flight of flights.values()) flight.dirty = true
    }
    return {
      peek,
      load,
      evict,
      evictWhere: (changed) => {
        for (const [id, { value }] of [...rows, ...missing]) if (changed(id, value)) evict(id)
        lookAgain()
      },
      doubt: () => {
        doubts++
        lookAgain()
      }
    }
  })
