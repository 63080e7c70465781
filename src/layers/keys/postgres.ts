/**
 * Keys in Postgres: an act, its audit row and the news of it are one
 * transaction. All times are the database's own.
 */
import { Effect, Layer, Schema } from "effect"
import { KeyInfo, isId } from "../../domain/api-key.ts"
import type { TenantId } from "../../domain/caller.ts"
import { StoreError } from "../../domain/errors.ts"
import { Audit } from "../../services/audit.ts"
import { Keys } from "../../services/keys.ts"
import type { Act, KeyRequest, NewKey } from "../../services/keys.ts"
import { Postgres } from "../postgres/client.ts"
import { Changes } from "./changes.ts"
import * as Rules from "./rules.ts"
import * as Secret from "./secret.ts"

const decodeInfos = Schema.decodeUnknownEffect(Schema.Array(KeyInfo))

const refuse = (tag: "NotFound" | "Conflict" | "Schema", detail: string) =>
  Effect.fail(new StoreError({ store: "postgres", reason: { _tag: tag, detail } }))

const noKey = (id: string) => refuse("NotFound", `no key '${id}'`)

/** What has not the shape of an id is not asked for: it may hold what Postgres cannot even be sent. */
const checkId = (id: string) => (isId(id) ? Effect.void : noKey(id))

const decode = (rows: unknown) =>
  decodeInfos(rows).pipe(Effect.catch(({ message }) => refuse("Schema", `keys of another shape: ${message}`)))

/** A tenant's row, as acts on it need it. */
interface TenantRow {
  readonly plan: string
  readonly residency: string | null
}

const make = Effect.gen(function* () {
  const { ask, sql, transaction } = yield* Postgres
  const audit = yield* Audit
  const changes = yield* Changes

  const infos = (where: ReturnType<typeof sql.and>) =>
    Effect.flatMap(
      sql`SELECT k.id, k.tenant, t.plan, t.residency, k.scopes,
                 ${sql.literal(millis("k.created_at"))} AS "createdAtMs",
                 ${sql.literal(millis("k.expires_at"))} AS "expiresAtMs",
                 ${sql.literal(millis("k.revoked_at"))} AS "revokedAtMs",
                 k.rotated_to AS "rotatedTo"
          FROM api_keys k JOIN tenants t ON t.id = k.tenant
          WHERE ${where}
          ORDER BY k.created_at DESC, k.id`,
      decode
    )

  const infoOf = (id: string) =>
    Effect.flatMap(infos(sql`k.id = ${id}`), ([info]) => (info === undefined ? noKey(id) : Effect.succeed(info)))

  const record = (act: Act, action: string, subject: string, before: unknown, after: unknown) =>
    audit.record({ actor: act.actor, action, subject, before, after, reason: act.reason })

  /** Make sure that the tenant exists, with the plan and the residency asked for; a change of them is an act of its own. */
  const settle = (request: KeyRequest) =>
    Effect.gen(function* () {
      const { plan, residency, tenant } = request
      yield* sql`INSERT INTO tenants (id, plan, residency)
                 VALUES (${tenant}, ${plan ?? "standard"}, ${residency ?? null})
                 ON CONFLICT (id) DO NOTHING`
      const [before] = yield* sql<TenantRow>`SELECT plan, residency FROM tenants WHERE id = ${tenant}`
      if (before === undefined) return yield* refuse("Conflict", `tenant '${tenant}' has just been removed`)
      const after = { plan: plan ?? before.plan, residency: residency ?? before.residency }
      if (after.plan === before.plan && after.residency === before.residency) return
      yield* sql`UPDATE tenants SET plan = ${after.plan}, residency = ${after.residency} WHERE id = ${tenant}`
      yield* record(request, "tenant.set", tenant, before, after)
    })

  /** A new row; `expires` is the SQL of the moment when it ends. */
  const insert = (tenant: TenantId, scopes: ReadonlyArray<string>, expires: ReturnType<typeof sql.and>) =>
    Effect.gen(function* () {
      const { digest, id, key } = yield* Secret.make
      yield* sql`INSERT INTO api_keys (id, tenant, hash, scopes, created_at, expires_at)
                 VALUES (${id}, ${tenant}, ${digest}, ${scopes}::text[], clock_timestamp(), ${expires})`
      return { key, info: yield* infoOf(id) }
    })

  /**
   * What happens in one transaction, one act at a time in the whole fleet: what
   * an act has looked at stays so until it is done, and no two wait for each
   * other. Told at once to whoever remembers keys in this process.
   */
  const act = <A, E>(self: Effect.Effect<A, E>) =>
    Effect.tap(transaction(Effect.andThen(sql`SELECT 1 FROM ballast_revision FOR UPDATE`, self)), () => changes.look)

  const create: Keys["Service"]["create"] = (request) =>
    Effect.andThen(
      Rules.checkRequest(request),
      act(
        Effect.gen(function* () {
          yield* settle(request)
          const { lifeMs, scopes, tenant } = request
          const expires =
            lifeMs === undefined ? sql`NULL` : sql`clock_timestamp() + ${lifeMs}::float8 * interval '1 millisecond'`
          const made: NewKey = yield* insert(tenant, [...new Set(scopes)], expires)
          yield* record(request, "key.create", made.info.id, null, made.info)
          return made
        })
      )
    )

  const revoke: Keys["Service"]["revoke"] = (id, why) =>
    Rules.checkAct(why).pipe(
      Effect.andThen(checkId(id)),
      Effect.andThen(
        act(
          Effect.gen(function* () {
            const before = yield* infoOf(id)
            if (before.revokedAtMs !== null) return before
            yield* sql`UPDATE api_keys SET revoked_at = clock_timestamp() WHERE id = ${id}`
            const after = yield* infoOf(id)
            yield* record(why, "key.revoke", id, before, after)
            return after
          })
        )
      )
    )

  const rotate: Keys["Service"]["rotate"] = (id, overlapMs, why) =>
    Rules.checkAct(why).pipe(
      Effect.andThen(Rules.checkOverlap(overlapMs)),
      Effect.andThen(checkId(id)),
      Effect.andThen(
        act(
          Effect.gen(function* () {
            const before = yield* infoOf(id)
            if (before.revokedAtMs !== null) return yield* refuse("Conflict", `key '${id}' is revoked`)
            if (before.rotatedTo !== null) {
              return yield* refuse("Conflict", `key '${id}' was rotated already, to '${before.rotatedTo}'`)
            }
            const dead = yield* sql`SELECT 1 FROM api_keys WHERE id = ${id} AND expires_at <= clock_timestamp()`
            if (dead.length > 0) return yield* refuse("Conflict", `key '${id}' has expired`)
            const made: NewKey = yield* insert(
              before.tenant,
              before.scopes,
              sql`(SELECT expires_at FROM api_keys WHERE id = ${id})`
            )
            // LEAST leaves out what is null: a key that never ended ends with the overlap.
            yield* sql`UPDATE api_keys SET rotated_to = ${made.info.id}, expires_at =
                         LEAST(expires_at, clock_timestamp() + ${overlapMs}::float8 * interval '1 millisecond')
                       WHERE id = ${id}`
            yield* record(why, "key.rotate", id, before, { old: yield* infoOf(id), new: made.info })
            return made
          })
        )
      )
    )

  return Keys.of({
    create,
    revoke,
    rotate,
    list: (tenant) => ask(infos(tenant === undefined ? sql`true` : sql`k.tenant = ${tenant}`))
  })
})

/** Epoch ms of a column, as a JavaScript number. */
const millis = (column: string) => `floor(extract(epoch FROM ${column}) * 1000)::float8`

/** Keys in the Postgres of the context. */
export const layer: Layer.Layer<Keys, never, Audit | Changes | Postgres> = Layer.effect(Keys, make)
