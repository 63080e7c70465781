/** What every layer of the Keys port must do, seen through the Tenants that live on its keys. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted, Schema } from "effect"
import type { Layer } from "effect"
import * as ApiKey from "../../src/domain/api-key.ts"
import { TenantId } from "../../src/domain/caller.ts"
import { Audit } from "../../src/services/audit.ts"
import { Keys } from "../../src/services/keys.ts"
import type { Act, KeyRequest, NewKey } from "../../src/services/keys.ts"
import { Tenants } from "../../src/services/tenants.ts"

type Services = Keys | Tenants | Audit

const act: Act = { actor: "cli:ann", reason: "ticket 12" }

const request = (tenant: string, rest: Partial<KeyRequest> = {}): KeyRequest => ({
  ...act,
  tenant: TenantId.make(tenant),
  scopes: ["chat"],
  ...rest
})

const text = ({ key }: NewKey): string => Redacted.value(key)

const identify = (key: NewKey) => Effect.flatMap(Tenants, (tenants) => tenants.identify(text(key)))

const refusal = (key: NewKey) => Effect.map(Effect.flip(identify(key)), ({ reason }) => reason._tag)

const tagOf = <A>(self: Effect.Effect<A, { readonly reason: { readonly _tag: string } }, Services>) =>
  Effect.map(Effect.flip(self), ({ reason }) => reason._tag)

/** `breakAudit`: from then on no audit row can be written, for this layer alone. */
export const keys = <R, E>(
  name: string,
  layer: Layer.Layer<R | Services, E>,
  breakAudit: Effect.Effect<void, unknown, R | Services>
) => {
  const live = <E2>(
    title: string,
    test: (port: Keys["Service"], audit: Audit["Service"]) => Effect.Effect<void, E2, R | Services>
  ) =>
    it.live(title, () =>
      Effect.gen(function* () {
        yield* test(yield* Keys, yield* Audit)
      }).pipe(Effect.provide(layer))
    )

  describe(`Keys: ${name}`, () => {
    live("a new key is its tenant's, with plan, residency, scopes and id", (port) =>
      Effect.gen(function* () {
        const made = yield* port.create(
          request("acme", { plan: "premium", residency: "eu", scopes: ["chat", "models", "chat"] })
        )
        assert.isTrue(ApiKey.isWellFormed(text(made)))
        assert.strictEqual(ApiKey.idOf(text(made)), made.info.id)
        assert.deepStrictEqual(yield* identify(made), {
          id: TenantId.make("acme"),
          plan: "premium",
          residency: "eu",
          scopes: ["chat", "models"],
          keyId: made.info.id
        })
        assert.deepStrictEqual(yield* port.list(), [made.info])
        yield* Schema.decodeEffect(ApiKey.KeyInfo)(made.info)
        assert.notInclude(JSON.stringify(made), text(made))
      })
    )

    live("the plan is the tenant's: a new key with another plan changes the old ones too", (port, audit) =>
      Effect.gen(function* () {
        const old = yield* port.create(request("acme", { residency: "eu" }))
        assert.strictEqual((yield* identify(old)).plan, "standard")
        const kept = yield* port.create(request("acme"))
        assert.strictEqual((yield* identify(kept)).residency, "eu")
        yield* port.create(request("acme", { plan: "premium" }))
        for (const key of [old, kept]) {
          const tenant = yield* identify(key)
          assert.deepStrictEqual([tenant.plan, tenant.residency], ["premium", "eu"])
        }
        const change = (yield* audit.list(10)).find(({ action }) => action === "tenant.set")
        assert.deepStrictEqual(change?.before, { plan: "standard", residency: "eu" })
        assert.deepStrictEqual(change?.after, { plan: "premium", residency: "eu" })
      })
    )

    live("tenants are told apart, in lists too", (port) =>
      Effect.gen(function* () {
        const acme = yield* port.create(request("acme"))
        const other = yield* port.create(request("other"))
        assert.strictEqual((yield* identify(acme)).id, "acme")
        assert.strictEqual((yield* identify(other)).id, "other")
        assert.deepStrictEqual(
          (yield* port.list(TenantId.make("acme"))).map(({ id }) => id),
          [acme.info.id]
        )
        assert.deepStrictEqual(yield* port.list(TenantId.make("nobody")), [])
        assert.deepStrictEqual(
          (yield* port.list()).map(({ id }) => id),
          [other.info.id, acme.info.id]
        )
      })
    )

    live("a revoked key is refused at once, and stays so", (port) =>
      Effect.gen(function* () {
        const made = yield* port.create(request("acme"))
        yield* identify(made)
        const revoked = yield* port.revoke(made.info.id, act)
        assert.isNumber(revoked.revokedAtMs)
        assert.strictEqual(yield* refusal(made), "RevokedKey")
        assert.deepStrictEqual(yield* port.revoke(made.info.id, act), revoked)
        assert.strictEqual(yield* tagOf(port.rotate(made.info.id, 0, act)), "Conflict")
      })
    )

    live("an expired key is refused", (port) =>
      Effect.gen(function* () {
        const made = yield* port.create(request("acme", { lifeMs: 1 }))
        const good = yield* port.create(request("acme", { lifeMs: 3_600_000 }))
        assert.strictEqual((good.info.expiresAtMs ?? 0) - good.info.createdAtMs, 3_600_000)
        assert.strictEqual((yield* identify(good)).id, "acme")
        // Its one millisecond was over before the second key was made, unless the clock stood still.
        yield* Effect.repeat(identify(made).pipe(Effect.exit), { until: ({ _tag }) => _tag === "Failure" })
        assert.strictEqual(yield* refusal(made), "ExpiredKey")
        assert.strictEqual(yield* tagOf(port.rotate(made.info.id, 0, act)), "Conflict")
      })
    )

    live("rotation: both keys are good for the overlap, then the new one alone", (port) =>
      Effect.gen(function* () {
        const old = yield* port.create(request("acme", { plan: "premium", scopes: ["embeddings"] }))
        yield* identify(old)
        const fresh = yield* port.rotate(old.info.id, 3_600_000, act)
        const [first, second] = [yield* identify(old), yield* identify(fresh)]
        assert.deepStrictEqual({ ...first, keyId: "" }, { ...second, keyId: "" })
        assert.notStrictEqual(text(old), text(fresh))
        const listed = (yield* port.list()).find(({ id }) => id === old.info.id)
        assert.strictEqual(listed?.rotatedTo, fresh.info.id)
        assert.isAtMost(Math.abs((listed?.expiresAtMs ?? 0) - fresh.info.createdAtMs - 3_600_000), 1_000)
        assert.strictEqual(yield* tagOf(port.rotate(old.info.id, 0, act)), "Conflict")

        const last = yield* port.rotate(fresh.info.id, 0, act)
        assert.strictEqual(yield* refusal(fresh), "ExpiredKey")
        assert.strictEqual((yield* identify(last)).id, "acme")
      })
    )

    live("an overlap lengthens no life, and the new key keeps the old one's end", (port) =>
      Effect.gen(function* () {
        const old = yield* port.create(request("acme", { lifeMs: 60_000 }))
        const fresh = yield* port.rotate(old.info.id, 86_400_000, act)
        assert.strictEqual(fresh.info.expiresAtMs, old.info.expiresAtMs)
        const listed = (yield* port.list()).find(({ id }) => id === old.info.id)
        assert.strictEqual(listed?.expiresAtMs, old.info.expiresAtMs)
      })
    )

    live("two rotations of one key at once: one key comes of it", (port) =>
      Effect.gen(function* () {
        const old = yield* port.create(request("acme"))
        const exits = yield* Effect.forEach([1, 2, 3], () => Effect.exit(port.rotate(old.info.id, 0, act)), {
          concurrency: "unbounded"
        })
        assert.strictEqual(exits.filter(({ _tag }) => _tag === "Success").length, 1)
        assert.strictEqual((yield* port.list()).length, 2)
      })
    )

    live("every act is one audit row, with before, after and reason, and without the key", (port, audit) =>
      Effect.gen(function* () {
        const made = yield* port.create(request("acme"))
        const fresh = yield* port.rotate(made.info.id, 0, act)
        const revoked = yield* port.revoke(fresh.info.id, { actor: "admin-api", reason: "leaked" })
        yield* port.revoke(fresh.info.id, act)
        const rows = yield* audit.list(10)
        assert.deepStrictEqual(
          rows.map(({ action, actor, reason, subject }) => [action, subject, actor, reason]),
          [
            ["key.revoke", fresh.info.id, "admin-api", "leaked"],
            ["key.rotate", made.info.id, "cli:ann", "ticket 12"],
            ["key.create", made.info.id, "cli:ann", "ticket 12"]
          ]
        )
        assert.deepStrictEqual(rows[0]?.before, fresh.info)
        assert.deepStrictEqual(rows[0]?.after, revoked)
        assert.deepStrictEqual(rows[2]?.before, null)
        assert.deepStrictEqual(rows[2]?.after, made.info)
        for (const each of [made, fresh]) {
          assert.notInclude(JSON.stringify(rows), text(each))
          assert.notInclude(JSON.stringify(rows), text(each).slice(18))
        }
      })
    )

    live("what cannot be written down is not done", (port) =>
      Effect.gen(function* () {
        const made = yield* port.create(request("acme"))
        const before = yield* port.list()
        yield* breakAudit
        for (const attempt of [
          port.create(request("acme", { plan: "premium" })),
          port.create(request("other")),
          port.revoke(made.info.id, act),
          port.rotate(made.info.id, 0, act)
        ]) {
          assert.strictEqual(
            (yield* Effect.flip<unknown, { readonly _tag: string }, never>(attempt))._tag,
            "StoreError"
          )
        }
        assert.deepStrictEqual(yield* port.list(), before)
        assert.strictEqual((yield* identify(made)).plan, "standard")
      })
    )

    live("refuses what makes no sense, and writes nothing down", (port, audit) =>
      Effect.gen(function* () {
        for (const wrong of [
          request("acme", { scopes: [] }),
          request("acme", { reason: " " }),
          request("acme", { actor: "" }),
          request("acme", { residency: "" }),
          ...[0, -1, 1.5, Number.NaN, Infinity, Number.MAX_SAFE_INTEGER].map((lifeMs) => request("acme", { lifeMs }))
        ]) {
          assert.strictEqual(yield* tagOf(port.create(wrong)), "Invalid", JSON.stringify(wrong))
        }
        assert.deepStrictEqual(yield* port.list(), [])
        assert.deepStrictEqual(yield* audit.list(10), [])
        const made = yield* port.create(request("acme"))
        for (const overlap of [-1, 0.5, Number.NaN, Infinity]) {
          assert.strictEqual(yield* tagOf(port.rotate(made.info.id, overlap, act)), "Invalid")
        }
        for (const id of ["nobody", "", "' or 1=1 --", "\u0000"]) {
          assert.strictEqual(yield* tagOf(port.revoke(id, act)), "NotFound", id)
          assert.strictEqual(yield* tagOf(port.rotate(id, 0, act)), "NotFound", id)
        }
      })
    )
  })
}
