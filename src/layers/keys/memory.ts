/**
 * Keys and the tenants they stand for, in this process's memory: for tests and
 * for programs that embed Ballast and keep their keys elsewhere. Nothing of it
 * outlives the process.
 */
import { Clock, Context, Effect, Layer, Semaphore } from "effect"
import * as ApiKey from "../../domain/api-key.ts"
import type { KeyInfo } from "../../domain/api-key.ts"
import type { Plan, TenantId } from "../../domain/caller.ts"
import { StoreError } from "../../domain/errors.ts"
import { Audit } from "../../services/audit.ts"
import { Keys } from "../../services/keys.ts"
import type { Act, NewKey } from "../../services/keys.ts"
import { Tenants } from "../../services/tenants.ts"
import * as Verdict from "../tenants/verdict.ts"
import * as Rules from "./rules.ts"
import * as Secret from "./secret.ts"

interface Kept {
  readonly digest: Uint8Array
  readonly info: Omit<KeyInfo, "plan" | "residency">
}

interface TenantRow {
  readonly plan: Plan
  readonly residency: string | null
}

const refuse = (tag: "NotFound" | "Conflict", detail: string) =>
  Effect.fail(new StoreError({ store: "postgres", reason: { _tag: tag, detail } }))

/** Each act is written down first; what then happens to the maps cannot fail. */
export const layer: Layer.Layer<Keys | Tenants, never, Audit> = Layer.effectContext(
  Effect.gen(function* () {
    const audit = yield* Audit
    const clock = yield* Clock.Clock
    const now = () => clock.currentTimeMillisUnsafe()
    const keys = new Map<string, Kept>()
    const tenants = new Map<TenantId, TenantRow>()
    // One act at a time: what an act has looked at stays so until it is done.
    const alone = Semaphore.makeUnsafe(1).withPermits(1)
    const noTenant: TenantRow = { plan: "standard", residency: null }

    const infoOf = ({ info }: Kept): KeyInfo => ({ ...info, ...(tenants.get(info.tenant) ?? noTenant) })
    const find = (id: string): Effect.Effect<Kept, StoreError> => {
      const kept = keys.get(id)
      return kept === undefined ? refuse("NotFound", `no key '${id}'`) : Effect.succeed(kept)
    }
    const record = (act: Act, action: string, subject: string, before: unknown, after: unknown) =>
      audit.record({ actor: act.actor, action, subject, before, after, reason: act.reason })

    /** Make a key, write it down with what it changes, and then keep it. */
    const add = (
      act: Act,
      fields: Pick<KeyInfo, "tenant" | "scopes" | "expiresAtMs"> & TenantRow,
      write: (info: KeyInfo) => Effect.Effect<void, StoreError>
    ): Effect.Effect<NewKey, StoreError> =>
      Effect.gen(function* () {
        const { digest, id, key } = yield* Secret.make
        const { expiresAtMs, plan, residency, scopes, tenant } = fields
        const info = { id, tenant, scopes, createdAtMs: now(), expiresAtMs, revokedAtMs: null, rotatedTo: null }
        const before = tenants.get(tenant)
        const changed = before !== undefined && (before.plan !== plan || before.residency !== residency)
        if (changed) yield* record(act, "tenant.set", tenant, before, { plan, residency })
        yield* write({ ...info, plan, residency })
        tenants.set(tenant, { plan, residency })
        keys.set(id, { digest, info })
        return { key, info: { ...info, plan, residency } }
      })

    const create: Keys["Service"]["create"] = (request) =>
      Effect.gen(function* () {
        yield* Rules.checkRequest(request)
        const known = tenants.get(request.tenant) ?? noTenant
        const expiresAtMs = request.lifeMs === undefined ? null : now() + request.lifeMs
        const { scopes, tenant } = request
        const plan = request.plan ?? known.plan
        const residency = request.residency ?? known.residency
        return yield* add(request, { tenant, scopes: [...new Set(scopes)], expiresAtMs, plan, residency }, (info) =>
          record(request, "key.create", info.id, null, info)
        )
      })

    const revoke: Keys["Service"]["revoke"] = (id, act) =>
      Effect.gen(function* () {
        yield* Rules.checkAct(act)
        const kept = yield* find(id)
        if (kept.info.revokedAtMs !== null) return infoOf(kept)
        const revoked: Kept = { ...kept, info: { ...kept.info, revokedAtMs: now() } }
        yield* record(act, "key.revoke", id, infoOf(kept), infoOf(revoked))
        keys.set(id, revoked)
        return infoOf(revoked)
      })

    const rotate: Keys["Service"]["rotate"] = (id, overlapMs, act) =>
      Effect.gen(function* () {
        yield* Rules.checkAct(act)
        yield* Rules.checkOverlap(overlapMs)
        const kept = yield* find(id)
        const { expiresAtMs, revokedAtMs, rotatedTo } = kept.info
        if (revokedAtMs !== null) return yield* refuse("Conflict", `key '${id}' is revoked`)
        if (expiresAtMs !== null && expiresAtMs <= now()) return yield* refuse("Conflict", `key '${id}' has expired`)
        if (rotatedTo !== null) return yield* refuse("Conflict", `key '${id}' was rotated already, to '${rotatedTo}'`)
        const ends = Math.min(now() + overlapMs, expiresAtMs ?? Infinity)
        const before = infoOf(kept)
        return yield* add(act, before, (info) =>
          Effect.gen(function* () {
            const old: Kept = { ...kept, info: { ...kept.info, expiresAtMs: ends, rotatedTo: info.id } }
            yield* record(act, "key.rotate", id, before, { old: infoOf(old), new: info })
            keys.set(id, old)
          })
        )
      })

    const identify: Tenants["Service"]["identify"] = (key) => {
      if (key === undefined || key === "") return Verdict.missingKey()
      const kept = keys.get(ApiKey.idOf(key))
      if (kept === undefined) return Verdict.unknownKey()
      const { plan, residency, ...info } = infoOf(kept)
      const row = Verdict.row({
        digest: kept.digest,
        tenant: { id: info.tenant, plan, scopes: info.scopes, residency: residency ?? undefined, keyId: info.id },
        revoked: info.revokedAtMs !== null,
        endsAtMs: info.expiresAtMs ?? Infinity
      })
      return Verdict.verdict(row, Secret.digest(key), now())
    }

    return Context.make(
      Keys,
      Keys.of({
        create: (request) => alone(create(request)),
        revoke: (id, act) => alone(revoke(id, act)),
        rotate: (id, overlapMs, act) => alone(rotate(id, overlapMs, act)),
        list: (tenant) =>
          Effect.sync(() =>
            [...keys.values()]
              .map(infoOf)
              .filter((info) => tenant === undefined || info.tenant === tenant)
              .toReversed()
          )
      })
    ).pipe(Context.add(Tenants, Tenants.of({ identify })))
  })
)
