/** What every layer of the BudgetCaps port must do. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Stream } from "effect"
import type { Layer } from "effect"
import type { Caps } from "../../src/domain/budget.ts"
import { TenantId } from "../../src/domain/caller.ts"
import { Audit } from "../../src/services/audit.ts"
import { BudgetCaps } from "../../src/services/budget-caps.ts"

/** The configuration that the layers under test are made with. */
export const policy = {
  tenant: { day: { microUsd: 1_000_000 } },
  tenants: { whale: { month: { tokens: 5 } } }
}

const act = { actor: "cli:ann", reason: "ticket 12" }
const acme = TenantId.make("acme")
const whale = TenantId.make("whale")
const caps: Caps = { day: { microUsd: 100_000_000, tokens: 0 }, month: { microUsd: Number.MAX_SAFE_INTEGER } }

/** `breakAudit`: from then on no audit row can be written, for this layer alone. */
export const budgetCaps = <R, E>(
  name: string,
  layer: Layer.Layer<R | BudgetCaps | Audit, E>,
  breakAudit: Effect.Effect<void, unknown, R | BudgetCaps | Audit>
) => {
  const live = <E2>(
    title: string,
    test: (port: BudgetCaps["Service"], audit: Audit["Service"]) => Effect.Effect<void, E2, R | BudgetCaps | Audit>
  ) =>
    it.live(title, () =>
      Effect.gen(function* () {
        yield* test(yield* BudgetCaps, yield* Audit)
      }).pipe(Effect.provide(layer))
    )

  describe(`BudgetCaps: ${name}`, () => {
    live("a tenant without caps of its own has the configuration's", (port) =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* port.get(acme), { tenant: acme, caps: policy.tenant, own: false })
        assert.deepStrictEqual(yield* port.load(whale), policy.tenants.whale)
        for (const each of ["constructor", "__proto__", "toString"]) {
          assert.deepStrictEqual(yield* port.load(TenantId.make(each)), policy.tenant, each)
        }
        assert.deepStrictEqual(yield* port.list, [])
      })
    )

    live("what was loaded is answered at once", (port) =>
      Effect.gen(function* () {
        const loaded = yield* port.load(acme)
        assert.deepStrictEqual(port.capsOf(acme), loaded)
        assert.isTrue(Exit.isExit(port.load(acme)))
      })
    )

    live("caps that are set count at once, for that tenant alone, until they are taken back", (port) =>
      Effect.gen(function* () {
        yield* port.load(acme)
        assert.deepStrictEqual(yield* port.set(acme, caps, act), { tenant: acme, caps, own: true })
        assert.deepStrictEqual(yield* port.load(acme), caps)
        assert.deepStrictEqual(port.capsOf(acme), caps)
        assert.deepStrictEqual(yield* port.load(TenantId.make("other")), policy.tenant)
        yield* port.set(whale, {}, act)
        assert.deepStrictEqual(yield* port.load(whale), {})
        assert.deepStrictEqual(yield* port.list, [
          { tenant: acme, caps, own: true },
          { tenant: whale, caps: {}, own: true }
        ])
        yield* port.set(whale, undefined, act)
        assert.deepStrictEqual(yield* port.load(whale), policy.tenants.whale)
        assert.deepStrictEqual(
          (yield* port.list).map(({ tenant }) => tenant),
          [acme]
        )
      })
    )

    live("each change is told", (port) =>
      Effect.gen(function* () {
        const waited = new Set<string>([acme, whale])
        const heard = yield* port.changes.pipe(
          Stream.takeUntil((tenant) => {
            waited.delete(tenant ?? "")
            return waited.size === 0
          }),
          Stream.runDrain,
          Effect.forkChild({ startImmediately: true })
        )
        yield* Effect.yieldNow
        yield* port.set(acme, caps, act)
        yield* port.set(whale, {}, act)
        yield* Fiber.join(heard)
      })
    )

    live("every act is one audit row, with before, after and reason", (port, audit) =>
      Effect.gen(function* () {
        yield* port.set(acme, {}, { actor: "admin-api", reason: "trial" })
        yield* port.set(acme, caps, act)
        yield* port.set(acme, undefined, act)
        assert.deepStrictEqual(
          (yield* audit.list(10)).map(({ action, actor, after, before, reason, subject }) => [
            action,
            subject,
            actor,
            reason,
            before,
            after
          ]),
          [
            ["budget.set", "acme", "cli:ann", "ticket 12", caps, null],
            ["budget.set", "acme", "cli:ann", "ticket 12", {}, caps],
            ["budget.set", "acme", "admin-api", "trial", null, {}]
          ]
        )
      })
    )

    live("what cannot be written down is not done", (port) =>
      Effect.gen(function* () {
        yield* port.set(acme, caps, act)
        yield* breakAudit
        for (const wanted of [{}, undefined]) {
          assert.strictEqual((yield* Effect.flip(port.set(acme, wanted, act)))._tag, "StoreError")
        }
        yield* Effect.flip(port.set(whale, {}, act))
        assert.deepStrictEqual(yield* port.list, [{ tenant: acme, caps, own: true }])
        assert.deepStrictEqual(yield* port.load(acme), caps)
        assert.deepStrictEqual(yield* port.load(whale), policy.tenants.whale)
      })
    )

    live("amounts that are none are refused, and nothing is written down", (port, audit) =>
      Effect.gen(function* () {
        for (const amount of [-1, 0.5, Number.NaN, Infinity, Number.MAX_SAFE_INTEGER + 1]) {
          for (const wrong of [{ day: { microUsd: amount } }, { month: { tokens: amount } }]) {
            const { reason } = yield* Effect.flip(port.set(acme, wrong, act))
            assert.strictEqual(reason._tag, "Invalid", String(amount))
          }
        }
        for (const wrong of [
          { actor: "", reason: "x" },
          { actor: "x", reason: " " }
        ]) {
          assert.strictEqual((yield* Effect.flip(port.set(acme, caps, wrong))).reason._tag, "Invalid")
        }
        assert.deepStrictEqual(yield* audit.list(10), [])
        assert.isFalse((yield* port.get(acme)).own)
      })
    )
  })
}
