/**
 * The books in Postgres. What is appended waits in a bounded queue of this
 * process, and one fiber writes it out in batches.
 *
 * - Postgres away, read-only or full: the batch is tried again, for ever, with growing pauses; said once in the log when
 *   it begins and once when it ends. An answer that was lost does no harm: the same rows a second time are left out
 * - a batch that is refused for what is in it is halved until the one entry that is at fault stands alone; that one goes
 *   to the log by its id, and the others into the books
 * - when the scope closes, the queue is written out for at most `closeMs`; what is left then is counted in the log
 */
import { Deferred, Effect, Layer, Queue, Random, Result } from "effect"
import type { Scope } from "effect"
import type { StoreError } from "../../domain/errors.ts"
import type { LedgerEntry } from "../../domain/ledger.ts"
import { Ledger } from "../../services/ledger.ts"
import { Postgres } from "../postgres/client.ts"
import * as Errors from "../postgres/errors.ts"
import * as Entries from "./entries.ts"
import * as Rows from "./rows.ts"

/**
 * - `capacity`: most entries that wait; beyond it `append` says no (100,000)
 * - `batch`: most entries of one statement (500)
 * - `lingerMs`: how long the first entry of a batch waits for others (20 ms)
 * - `pauseMs`: the pause after the nth failure in a row is a random part of twice as much each time, from the first of
 *   these on and up to the second (100 ms, 5 s)
 * - `closeMs`: longest time for writing out the queue when the scope closes (10 s)
 */
export interface Options {
  readonly capacity?: number | undefined
  readonly batch?: number | undefined
  readonly lingerMs?: number | undefined
  readonly pauseMs?: readonly [first: number, most: number] | undefined
  readonly closeMs?: number | undefined
}

/** Somebody who waits until `target` entries have left the queue. */
interface Waiter {
  readonly target: number
  readonly done: Deferred.Deferred<void, StoreError>
}

export const make = (options?: Options): Effect.Effect<Ledger["Service"], never, Postgres | Scope.Scope> =>
  Effect.gen(function* () {
    const { batch = 500, capacity = 100_000, closeMs = 10_000, lingerMs = 20 } = options ?? {}
    const [firstPauseMs, mostPauseMs] = options?.pauseMs ?? [100, 5_000]
    const { insert, sum } = Rows.make(yield* Postgres)
    const queue = yield* Queue.unbounded<LedgerEntry>()
    let taken = 0
    let gone = 0
    let open = true
    let waiters: Array<Waiter> = []
    const pending = () => taken - gone

    // Who is told may at once be back to wait again: never tell while going through the list itself.
    const leave = (count: number): void => {
      gone += count
      const told = waiters.filter(({ target }) => target <= gone)
      waiters = waiters.filter(({ target }) => target > gone)
      for (const { done } of told) Deferred.doneUnsafe(done, Effect.void)
    }
    const fail = (error: StoreError): void => {
      const told = waiters
      waiters = []
      for (const { done } of told) Deferred.doneUnsafe(done, Effect.fail(error))
    }

    let failures = 0
    const away = Effect.fnUntraced(function* (error: StoreError) {
      failures += 1
      if (failures === 1) {
        yield* Effect.logError(`The ledger cannot be written: ${error.message} ${pending()} entries wait.`)
      }
      fail(error)
      const longest = Math.min(open ? mostPauseMs : firstPauseMs, firstPauseMs * 2 ** Math.min(failures, 20))
      yield* Effect.sleep((yield* Random.nextBetween(0.5, 1)) * longest)
    })
    const back = Effect.suspend(() => {
      if (failures === 0) return Effect.void
      failures = 0
      return Effect.logInfo(`The ledger is written again. ${pending()} entries wait.`)
    })

    /** Write all of them out, however long it takes. */
    const writeOut = (entries: ReadonlyArray<LedgerEntry>): Effect.Effect<void> =>
      Effect.flatMap(Effect.result(insert(entries)), (written) => {
        if (Result.isSuccess(written)) {
          leave(entries.length)
          return back
        }
        if (Errors.isPassing(written.failure)) {
          return Effect.andThen(away(written.failure), () => writeOut(entries))
        }
        const [first] = entries
        if (entries.length > 1) {
          const half = Math.ceil(entries.length / 2)
          return Effect.andThen(writeOut(entries.slice(0, half)), () => writeOut(entries.slice(half)))
        }
        leave(entries.length)
        return Effect.logError(`A ledger entry is lost, it cannot be written: ${written.failure.message}`).pipe(
          Effect.annotateLogs({ id: first?.id ?? "", kind: first?.kind ?? "" })
        )
      })

    const next = Effect.gen(function* () {
      const first = yield* Queue.take(queue)
      if (open && lingerMs > 0) yield* Effect.sleep(lingerMs)
      const more = Queue.sizeUnsafe(queue) === 0 ? [] : yield* Queue.takeBetween(queue, 1, batch - 1)
      yield* writeOut([first, ...more])
    })
    yield* Effect.forkScoped(Effect.forever(next))

    const until = (target: number): Effect.Effect<void, StoreError> =>
      Effect.suspend(() => {
        if (gone >= target) return Effect.void
        const done = Deferred.makeUnsafe<void, StoreError>()
        const waiter = { target, done }
        waiters.push(waiter)
        return Effect.onInterrupt(Deferred.await(done), () =>
          Effect.sync(() => {
            waiters = waiters.filter((each) => each !== waiter)
          })
        )
      })

    // Runs before the writer is stopped: what was made last ends first.
    yield* Effect.addFinalizer(() =>
      Effect.gen(function* () {
        open = false
        // A failure on the way is no reason to stop before the time is up.
        const all: Effect.Effect<void> = until(taken).pipe(Effect.catch(() => all))
        yield* Effect.timeoutOption(Effect.interruptible(all), closeMs)
        if (pending() > 0) {
          yield* Effect.logError(
            `${pending()} ledger entries are lost: Postgres did not take them within ${closeMs} ms.`
          )
        }
      })
    )

    return Ledger.of({
      append: (entry) => {
        const writable = open && pending() < capacity ? Entries.tidy(entry) : undefined
        if (writable === undefined) return false
        taken += 1
        Queue.offerUnsafe(queue, writable)
        return true
      },
      write: insert,
      sum,
      pending,
      flush: Effect.suspend(() => until(taken))
    })
  })

/** {@link make} as a layer. The schema is not made here: see `migrate`. */
export const layer = (options?: Options): Layer.Layer<Ledger, never, Postgres> => Layer.effect(Ledger, make(options))
