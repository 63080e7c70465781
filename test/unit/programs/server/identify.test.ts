import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Redacted } from "effect"
import type { Scope } from "../../../../src/domain/api-key.ts"
import * as Caller from "../../../../src/domain/caller.ts"
import { TenantId } from "../../../../src/domain/caller.ts"
import * as TenantsConfig from "../../../../src/layers/tenants/config.ts"
import * as Identify from "../../../../src/programs/server/identify.ts"
import { Tenants } from "../../../../src/services/tenants.ts"
import * as Exchange from "../../../support/exchange.ts"

const layer = TenantsConfig.layerKeys([
  { key: Redacted.make("sk-acme"), tenant: TenantId.make("acme"), plan: "standard" },
  { key: Redacted.make("sk-gold"), tenant: TenantId.make("gold"), plan: "premium" }
])

const identify = (
  headers: Readonly<Record<string, string>>,
  rest: { readonly address?: string; readonly trustProxy?: boolean } = {}
) =>
  Effect.flatMap(Tenants, (tenants) =>
    Identify.caller(
      {
        tenants,
        trustProxy: rest.trustProxy ?? false,
        features: { digest: { critical: false }, chat: { critical: true } }
      },
      Exchange.make({ headers, address: rest.address }).exchange,
      "chat"
    )
  ).pipe(Effect.provide(layer))

const bearer = { authorization: "Bearer sk-acme" }

describe("the key", () => {
  it.each([
    [{ authorization: "Bearer sk-1" }, "sk-1"],
    [{ authorization: "bearer sk-1" }, "sk-1"],
    [{ authorization: "BEARER  sk-1 " }, "sk-1"],
    [{ "api-key": "sk-1" }, "sk-1"],
    [{ "x-api-key": "sk-1" }, "sk-1"],
    [{ authorization: "Bearer sk-1", "api-key": "sk-2", "x-api-key": "sk-3" }, "sk-1"],
    [{ "api-key": "sk-2", "x-api-key": "sk-3" }, "sk-2"],
    [{ authorization: "Basic c2s=", "x-api-key": "sk-3" }, "sk-3"],
    [{ authorization: "Basic c2s=" }, undefined],
    [{}, undefined]
  ])("of %j is %s", (headers: Record<string, string>, key) =>
    assert.strictEqual(
      Identify.keyOf((name) => headers[name]),
      key
    )
  )
})

describe("the caller", () => {
  it.effect("is the key's tenant with its plan", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* identify(bearer), Caller.make("acme"))
      assert.deepStrictEqual(yield* identify({ "api-key": "sk-gold" }), Caller.make("gold", { plan: "premium" }))
    })
  )

  it.effect("is nobody without a key, or with a wrong one", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* Effect.flip(identify({}))).reason._tag, "MissingKey")
      assert.strictEqual((yield* Effect.flip(identify({ authorization: "Bearer " }))).reason._tag, "MissingKey")
      for (const key of ["sk-acm", "sk-acmee", "SK-ACME"]) {
        const error = yield* Effect.flip(identify({ authorization: `Bearer ${key}` }))
        assert.strictEqual(error.reason._tag, "UnknownKey")
        assert.notInclude(error.message, key)
      }
    })
  )

  it.effect("cannot name another tenant, only a user and a feature of its own", () =>
    Effect.gen(function* () {
      const caller = yield* identify({
        ...bearer,
        "x-ballast-tenant": "gold",
        "x-ballast-plan": "premium",
        "x-ballast-user": "ada",
        "x-ballast-feature": "search"
      })
      assert.deepStrictEqual(caller, Caller.make("acme", { user: "ada", feature: "search" }))
    })
  )

  it.effect("is refused what its key is not for", () =>
    Effect.gen(function* () {
      const ask = (scopes: ReadonlyArray<string> | undefined, scope: Scope) =>
        Identify.caller(
          {
            tenants: Tenants.of({
              identify: () => Exit.succeed({ id: TenantId.make("acme"), plan: "standard", scopes })
            }),
            trustProxy: false,
            features: {}
          },
          Exchange.make({ headers: bearer }).exchange,
          scope
        )
      assert.isTrue(Exit.isExit(ask(["chat"], "chat")), "a known caller needs no fiber")
      assert.deepStrictEqual(yield* ask(["models", "chat"], "chat"), Caller.make("acme"))
      assert.deepStrictEqual(yield* ask(undefined, "embeddings"), Caller.make("acme"))
      for (const scopes of [[], ["chat"], ["Embeddings"], ["embeddings "]]) {
        const { reason } = yield* Effect.flip(ask(scopes, "embeddings"))
        assert.deepStrictEqual(reason, { _tag: "Forbidden", scope: "embeddings" })
      }
    })
  )

  it.effect("is critical, unless its feature is marked otherwise", () =>
    Effect.gen(function* () {
      for (const [feature, critical] of [
        ["digest", false],
        ["chat", true],
        ["unheard-of", true],
        ["", true],
        // Names that every object has are no features.
        ["constructor", true],
        ["__proto__", true]
      ] as const) {
        assert.strictEqual((yield* identify({ ...bearer, "x-ballast-feature": feature })).critical, critical, feature)
      }
    })
  )

  it.effect("has names of bounded length", () =>
    Effect.gen(function* () {
      const caller = yield* identify({ ...bearer, "x-ballast-user": "u".repeat(500) })
      assert.strictEqual(caller.user?.length, 128)
      assert.isUndefined((yield* identify({ ...bearer, "x-ballast-user": "" })).user)
    })
  )
})

const of = (forwarded: string | undefined, trustProxy: boolean) =>
  Effect.map(
    identify(forwarded === undefined ? bearer : { ...bearer, "x-forwarded-for": forwarded }, {
      address: "10.0.0.9",
      trustProxy
    }),
    ({ ip }) => ip
  )

describe("the address", () => {
  it.effect("is the peer's, whatever the client says", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* of(undefined, false), "10.0.0.9")
      assert.strictEqual(yield* of("1.2.3.4", false), "10.0.0.9")
      assert.isUndefined((yield* identify(bearer)).ip)
    })
  )

  it.effect("is the last hop's behind a proxy: what stands before it, the client may have written", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* of("1.2.3.4", true), "1.2.3.4")
      assert.strictEqual(yield* of("6.6.6.6, 1.2.3.4 ", true), "1.2.3.4")
      assert.strictEqual(yield* of("2001:db8::1", true), "2001:db8::1")
      assert.strictEqual(yield* of(undefined, true), "10.0.0.9")
      assert.strictEqual(yield* of("1.2.3.4, ", true), "10.0.0.9")
    })
  )
})

describe("withUser", () => {
  it("takes the body's user where no header named one", () => {
    const nobody = Caller.make("acme")
    assert.strictEqual(Identify.withUser(nobody, "ada").user, "ada")
    assert.strictEqual(Identify.withUser(Caller.make("acme", { user: "bob" }), "ada").user, "bob")
    for (const none of [null, undefined, ""]) assert.strictEqual(Identify.withUser(nobody, none), nobody)
    assert.strictEqual(Identify.withUser(nobody, "u".repeat(500)).user?.length, 128)
  })
})
