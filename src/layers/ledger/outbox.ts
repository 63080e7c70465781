/**
 * From Redis to the books: the script that changes a budget's counters puts
 * the entry into a stream in the same step, and every process drains that
 * stream into the Ledger. So counters and books cannot part, whoever dies when.
 *
 * - Read by a consumer group: each entry goes to one process. Written first, and taken out of the stream then; who dies
 *   in between leaves it to another process, which writes it again, and the Ledger keeps one of both
 * - What a process has read and not taken out for `claimMs`, another one takes over
 * - While the Ledger cannot be written, a process holds the one batch it has read and tries again; everything else waits
 *   in the stream. While Redis is away there is nothing to do
 * - What is no entry goes to the stream `ledger-dead` and to the log, and holds up nobody
 */
import { Clock, Context, Effect, Exit, Layer, Random, Result } from "effect"
import type { Cause, Scope } from "effect"
import type { Redis } from "effect/persistence"
import type { StoreError } from "../../domain/errors.ts"
import type { LedgerEntry } from "../../domain/ledger.ts"
import { Ledger } from "../../services/ledger.ts"
import * as Errors from "../postgres/errors.ts"
import { RedisClient } from "../redis/client.ts"
import * as Stream from "./outbox-stream.ts"

/**
 * - `claimMs`: what another process has read and not taken out for so long is taken over (30 s)
 * - `count`: most entries of a batch (500)
 * - `pauseMs`: the pause after the nth failure in a row, twice as long each time, from the first of these on and up to
 *   the second (100 ms, 2 s), a random part of it
 */
export interface Options {
  readonly claimMs?: number | undefined
  readonly count?: number | undefined
  readonly pauseMs?: readonly [first: number, most: number] | undefined
}

/** The stream that is drained, as others may look at it. */
export class Outbox extends Context.Service<
  Outbox,
  {
    /** Entries that wait in the stream, those under way included. */
    readonly pending: Effect.Effect<number, StoreError>
    /** Succeeds once the stream is empty: all that was settled by now is in the books. */
    readonly drained: Effect.Effect<void, StoreError>
  }
>()("ballast/layers/ledger/Outbox") {}

/** How often `drained` looks, in ms: other processes drain as well, and tell nobody. */
const lookMs = 20

/** How much longer than it was told to wait a blocking read may take, in ms, before its connection is given up. */
const graceMs = 3_000

/** Whether a failure is not the connection's. */
const isOurs = (reason: Cause.Reason<{ readonly _tag: string }>): boolean =>
  reason._tag === "Die" || (reason._tag === "Fail" && reason.error._tag === "SchemaError")

/** Drain for as long as the scope lives. A batch that is being written when it closes is written and taken out first. */
export const make = (options?: Options): Effect.Effect<Outbox["Service"], never, Ledger | RedisClient | Scope.Scope> =>
  Effect.gen(function* () {
    const { claimMs = 30_000, count = 500 } = options ?? {}
    const [firstPauseMs, mostPauseMs] = options?.pauseMs ?? [100, 2_000]
    const ledger = yield* Ledger
    const client = yield* RedisClient
    // Nobody else's name, ever: entries of a namesake would be taken over too late.
    const name = `${(yield* Clock.currentTimeMillis).toString(36)}-${Math.abs(yield* Random.nextInt).toString(36)}`
    const stream = Stream.make(client, name, count)
    const blockMs = Math.max(1, Math.min(2_000, Math.floor(claimMs / 2)))

    const pause = (failures: number) =>
      Effect.flatMap(Random.nextBetween(0.5, 1), (part) =>
        Effect.sleep(part * Math.min(mostPauseMs, firstPauseMs * 2 ** Math.min(failures, 20)))
      )

    const bury = (item: Stream.Item, why: string): Effect.Effect<void, StoreError> =>
      Effect.andThen(
        Effect.annotateLogs(Effect.logError(`A ledger entry cannot be booked: ${why}. It is in 'ledger-dead'.`), {
          entry: item.streamId
        }),
        stream.bury(item, why)
      )

    /** Write a batch and take it out; what is at fault is found by halving. Fails with what may pass. */
    const book = (items: ReadonlyArray<readonly [Stream.Item, LedgerEntry]>): Effect.Effect<void, StoreError> =>
      Effect.flatMap(Effect.result(ledger.write(items.map(([, entry]) => entry))), (written) => {
        const [first] = items
        if (Result.isSuccess(written)) return stream.done(items.map(([item]) => item.streamId))
        if (Errors.isPassing(written.failure) || first === undefined) return Effect.fail(written.failure)
        if (items.length === 1) return bury(first[0], written.failure.message)
        const half = Math.ceil(items.length / 2)
        return Effect.andThen(book(items.slice(0, half)), () => book(items.slice(half)))
      })

    const once = Effect.fnUntraced(function* (items: ReadonlyArray<Stream.Item>) {
      const entries: Array<readonly [Stream.Item, LedgerEntry]> = []
      for (const item of items) {
        const entry = Stream.decode(item)
        if (entry === undefined) yield* bury(item, "it is no entry")
        else entries.push([item, entry])
      }
      if (entries.length > 0) yield* book(entries)
    })

    /** The batch until it is out of the stream. Only its pauses can be interrupted. */
    const process = (
      items: ReadonlyArray<Stream.Item>,
      restore: <A, E>(self: Effect.Effect<A, E>) => Effect.Effect<A, E>
    ) => {
      const attempt = (failures: number): Effect.Effect<void> =>
        Effect.flatMap(Effect.result(once(items)), (result) => {
          if (Result.isSuccess(result)) {
            return failures === 0 ? Effect.void : Effect.logInfo("Entries of the ledger are booked again.")
          }
          const said =
            failures === 0
              ? Effect.logError(`Entries of the ledger cannot be booked, they wait: ${result.failure.message}`)
              : Effect.void
          return Effect.andThen(Effect.andThen(said, restore(pause(failures + 1))), () => attempt(failures + 1))
        })
      return attempt(0)
    }

    let claimedAt = -Infinity
    /** What is there to do: what others have left behind, now and then, else what is new. */
    const read = Effect.fnUntraced(function* (connection: Redis.Connection) {
      const now = yield* Clock.currentTimeMillis
      if (now - claimedAt >= blockMs || now < claimedAt) {
        const claimed = yield* stream.claim(connection, claimMs)
        if (claimed.length > 0) return claimed
        claimedAt = now
      }
      return yield* stream.read(connection, blockMs)
    })
    const drain = (connection: Redis.Connection) =>
      Effect.forever(
        Effect.uninterruptibleMask((restore) =>
          restore(Effect.timeout(read(connection), blockMs + graceMs)).pipe(
            Effect.flatMap((items) => process(items, restore))
          )
        )
      )

    let failures = 0
    const connected = Effect.scoped(
      Effect.gen(function* () {
        const connection = yield* client.redis.reserve
        yield* stream.prepare(connection)
        failures = 0
        return yield* drain(connection)
      })
    )
    const again = Effect.flatMap(Effect.exit(connected), (exit) => {
      failures += 1
      // That Redis is away is told by its health; an answer of another shape, and a defect, by nobody else.
      const wrong = Exit.isFailure(exit) && exit.cause.reasons.some(isOurs)
      const said = wrong ? Effect.logError("The outbox of the ledger has failed, and goes on", exit.cause) : Effect.void
      return Effect.andThen(said, pause(failures))
    })
    yield* Effect.addFinalizer(() => Effect.ignore(stream.leave))
    yield* Effect.forkScoped(Effect.forever(again))

    const drained: Effect.Effect<void, StoreError> = Effect.flatMap(stream.length, (length) =>
      length === 0 ? Effect.void : Effect.andThen(Effect.sleep(lookMs), () => drained)
    )
    return Outbox.of({ pending: stream.length, drained })
  })

/** {@link make} as a layer. */
export const layer = (options?: Options): Layer.Layer<Outbox, never, Ledger | RedisClient> =>
  Layer.effect(Outbox, make(options))
