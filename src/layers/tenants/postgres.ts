/**
 * Tenants by the keys in Postgres, remembered for a short while: a key that is
 * known here costs no question and no fiber. What was changed elsewhere is read
 * again as soon as this process hears of it (`../keys/changes.ts`).
 *
 * While Postgres is away, known keys go on for their life and a grace, never
 * past their own end; keys nobody has asked for lately are `Unavailable`.
 */
import { Clock, Effect, Layer, Schema } from "effect"
import * as ApiKey from "../../domain/api-key.ts"
import { Plan, TenantId } from "../../domain/caller.ts"
import { AuthError, StoreError } from "../../domain/errors.ts"
import * as Guard from "../../services/guard.ts"
import { Tenants } from "../../services/tenants.ts"
import { Changes } from "../keys/changes.ts"
import * as ReadThrough from "../keys/read-through.ts"
import { digest } from "../keys/secret.ts"
import { Postgres } from "../postgres/client.ts"
import * as Verdict from "./verdict.ts"

/**
 * How long keys are remembered, in ms, and how many.
 *
 * - `lifeMs`: a key; it is read again in the background while it is in use
 * - `missingLifeMs`: that there is no such key
 * - `graceMs`: how much longer while Postgres is away
 * - `waitMs`: longest wait of a request for a key that is not known here
 * - `max`: most keys, and most ids without a key
 */
export interface Options {
  readonly lifeMs: number
  readonly missingLifeMs: number
  readonly graceMs: number
  readonly waitMs: number
  readonly max: number
}

/** The shipped values. A key is some 300 bytes in memory. */
export const defaults: Options = {
  lifeMs: 30_000,
  missingLifeMs: 5_000,
  graceMs: 300_000,
  waitMs: 250,
  max: 20_000
}

/** Longest time of a lookup, in ms. */
const lookupMs = 1_000

/** When to ask again where a key cannot be checked, in ms. */
const awayMs = 1_000

/** `leftMs`: how much longer the key is good, by the database's clock; this process's clock may be an hour off. */
const Row = Schema.Struct({
  id: Schema.String,
  tenant: TenantId,
  plan: Plan,
  residency: Schema.NullOr(Schema.String),
  scopes: Schema.Array(Schema.String),
  hash: Schema.Uint8Array,
  leftMs: Schema.NullOr(Schema.Finite),
  revoked: Schema.Boolean
})
const decode = Schema.decodeUnknownEffect(Schema.Array(Row))

const unavailable = () => Effect.fail(new AuthError({ reason: { _tag: "Unavailable", retryAfterMs: awayMs } }))

const make = (options: Options) =>
  Effect.gen(function* () {
    const { ask, sql } = yield* Postgres
    const changes = yield* Changes
    const clock = yield* Clock.Clock
    const now = () => clock.currentTimeMillisUnsafe()

    const lookup = (ids: ReadonlyArray<string>) =>
      ask(
        sql`SELECT k.id, k.tenant, t.plan, t.residency, k.scopes, k.hash, k.revoked_at IS NOT NULL AS revoked,
                   (extract(epoch FROM k.expires_at - clock_timestamp()) * 1000)::float8 AS "leftMs"
            FROM api_keys k JOIN tenants t ON t.id = k.tenant
            WHERE k.id = ANY(${ids}::text[])`,
        lookupMs
      ).pipe(
        Effect.flatMap(decode),
        Effect.catchTag("SchemaError", ({ message }) =>
          Effect.fail(
            new StoreError({
              store: "postgres",
              reason: { _tag: "Schema", detail: `keys of another shape: ${message}` }
            })
          )
        ),
        Effect.map((rows) => {
          const at = now()
          return new Map(
            rows.map(({ hash, id, leftMs, plan, residency, revoked, scopes, tenant }) => [
              id,
              Verdict.row({
                digest: hash,
                tenant: { id: tenant, plan, scopes, residency: residency ?? undefined, keyId: id },
                revoked,
                endsAtMs: leftMs === null ? Infinity : at + leftMs
              })
            ])
          )
        })
      )

    const keys = yield* ReadThrough.make({ ...options, lookup, lookupMs, now, healthy: changes.healthy })

    yield* changes.subscribe(({ id, table, tenant }) => {
      if (table === "budget_caps") return
      if (id !== undefined) keys.evict(id)
      else if (tenant !== undefined) keys.evictWhere((_, found) => found?.tenant.id === tenant)
      else keys.doubt()
    })

    return Tenants.of({
      identify: (key) => {
        if (key === undefined || key === "") return Verdict.missingKey()
        const id = ApiKey.idOf(key)
        const known = keys.peek(id)
        if (known !== undefined) return Verdict.verdict(known.value, digest(key), now())
        if (!ApiKey.isWellFormed(key)) return Verdict.unknownKey()
        return Guard.chain(keys.load(id).pipe(Effect.catch(unavailable)), ({ value }) =>
          Verdict.verdict(value, digest(key), now())
        )
      }
    })
  })

/** Tenants in the Postgres of the context. */
export const layer = (options: Partial<Options> = {}): Layer.Layer<Tenants, never, Changes | Postgres> =>
  Layer.effect(Tenants, make({ ...defaults, ...options }))
