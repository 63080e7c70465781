/**
 * News of tenants, keys and caps, from whichever process changed them.
 *
 * The database says each change as it commits (`NOTIFY ballast_changes`), and
 * this process listens on a connection of its own. A message can be lost: the
 * connection was gone, or hung without a word. So a number that grows with each
 * change (`ballast_revision`) is asked for twice a second as well; where it has
 * grown, everything remembered is in doubt. PGlite has one connection and one
 * process: nobody listens there, and the number is enough.
 */
import { Clock, Context, Effect, Layer, Option, Queue, Schedule, Schema } from "effect"
import type { Scope } from "effect"
import type { PostgresConfig } from "../../domain/config.ts"
import { Postgres } from "../postgres/client.ts"

/** What changed: a row of a table; or, without a table, anything may have. */
export interface Change {
  readonly table?: "tenants" | "api_keys" | "budget_caps" | undefined
  readonly tenant?: string | undefined
  /** A key's id. */
  readonly id?: string | undefined
}

export class Changes extends Context.Service<
  Changes,
  {
    /** Ask for news now, as after an act of one's own. Never fails: what is not heard now is heard later. */
    readonly look: Effect.Effect<void>
    /** Whether changes are heard of at the moment, within {@link lookMs} and a bit. */
    readonly healthy: () => boolean
    /** Call `f` with each change until the scope closes. It must not throw. */
    readonly subscribe: (f: (change: Change) => void) => Effect.Effect<void, never, Scope.Scope>
  }
>()("ballast/layers/keys/Changes") {}

/** How often the number is asked for, in ms, and how long its answer is waited for. */
export const lookMs = 500
const answerMs = 400

/** No news for so long (ms) means that there may be some. */
const silenceMs = 2_000

/** After a lost connection, in ms. */
const listenAgainMs = 1_000

const Message = Schema.fromJsonString(
  Schema.Struct({
    table: Schema.Literals(["tenants", "api_keys", "budget_caps"]),
    tenant: Schema.optionalKey(Schema.String),
    id: Schema.optionalKey(Schema.String)
  })
)
const decodeMessage = Schema.decodeUnknownOption(Message)

/** A message that is none of ours, or one of a later version: anything may have changed. */
const changeOf = (payload: string): Change => Option.getOrElse(decodeMessage(payload), (): Change => ({}))

const make = (config: PostgresConfig) =>
  Effect.gen(function* () {
    const { ask, sql } = yield* Postgres
    const clock = yield* Clock.Clock
    const subscribers = new Set<(change: Change) => void>()
    let revision: string | undefined
    let heardAt = -Infinity

    const tell = (change: Change) => {
      for (const each of subscribers) each(change)
    }

    const heard = (found: string) => {
      heardAt = clock.currentTimeMillisUnsafe()
      if (found === revision) return
      const isFirst = revision === undefined
      revision = found
      if (!isFirst) tell({})
    }

    const look = ask(sql<{ revision: string }>`SELECT revision::text FROM ballast_revision`, answerMs).pipe(
      Effect.map(([row]) => (row === undefined ? undefined : heard(row.revision))),
      Effect.catch(() =>
        Effect.sync(() => {
          heardAt = -Infinity
        })
      )
    )

    const listen = Effect.scoped(
      Effect.gen(function* () {
        const messages = yield* sql.listen("ballast_changes")
        // What was said before we listened.
        yield* look
        return yield* Effect.forever(Effect.map(Queue.take(messages), ({ payload }) => tell(changeOf(payload))))
      })
    )

    yield* look
    yield* Effect.forkScoped(Effect.repeat(look, Schedule.spaced(lookMs)))
    // A pool of one connection has none to spare.
    if (config.kind === "server" && config.maxConnections > 1) {
      yield* Effect.forkScoped(Effect.retry(listen, Schedule.spaced(listenAgainMs)))
    }

    return Changes.of({
      look,
      healthy: () => {
        const since = clock.currentTimeMillisUnsafe() - heardAt
        return since >= 0 && since < silenceMs
      },
      subscribe: (f) =>
        Effect.acquireRelease(
          Effect.sync(() => void subscribers.add(f)),
          () => Effect.sync(() => void subscribers.delete(f))
        )
    })
  })

/** News from the Postgres of the context; `config` is its configuration. */
export const layer = (config: PostgresConfig): Layer.Layer<Changes, never, Postgres> =>
  Layer.effect(Changes, make(config))
