import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Redacted, Schema } from "effect"
import { Config } from "../../../../src/domain/config-file.ts"
import * as Environment from "../../../../src/programs/config/environment.ts"

const withEnv =
  (values: Record<string, string>) =>
  <A, E>(self: Effect.Effect<A, E>) =>
    Effect.provide(self, ConfigProvider.layer(ConfigProvider.fromEnvRecord(values)))

/** What the variables make of an empty file. */
const file = (values: Record<string, string>) =>
  Effect.map(Environment.overrides, (overrides) => overrides.reduce<unknown>(Environment.apply, {})).pipe(
    withEnv(values)
  )

describe("overrides", () => {
  it.effect("are those variables that are set, read as their kind and named", () =>
    Effect.gen(function* () {
      const found = yield* withEnv({ BALLAST_PORT: " 81 ", BALLAST_TRUST_PROXY: "true", PORT: "1", OTHER: "x" })(
        Environment.overrides
      )
      assert.deepStrictEqual(found, [
        { path: ["server", "port"], value: 81, from: "BALLAST_PORT" },
        { path: ["server", "trustProxy"], value: true, from: "BALLAST_TRUST_PROXY" }
      ])
      assert.deepStrictEqual(yield* withEnv({})(Environment.overrides), [])
    })
  )

  it.effect("numbers and switches that are none stay text, for the check to name", () =>
    Effect.gen(function* () {
      const at = (text: string) => file({ BALLAST_PORT: text, BALLAST_TRUST_PROXY: text })
      for (const text of ["eighty", "0x50", "8 0", "yes", "Infinity"]) {
        assert.deepStrictEqual(yield* at(text), { server: { port: text, trustProxy: text } }, text)
      }
      assert.deepStrictEqual(yield* at("0"), { server: { port: 0, trustProxy: false } })
      assert.deepStrictEqual(yield* at("1e3"), { server: { port: 1_000, trustProxy: "1e3" } })
    })
  )

  it.effect("every variable names a place that the file has", () =>
    Effect.gen(function* () {
      const values = { text: "::1", number: "1", boolean: "1" }
      const env = Object.fromEntries(
        Environment.variables.map(({ kind, name }) => [name, name === "BALLAST_ADMIN_PORT" ? "2" : values[kind]])
      )
      const decoded = yield* Schema.decodeUnknownEffect(Config, { onExcessProperty: "error" })(yield* file(env))
      assert.strictEqual(decoded.server.adminPort, 2)
      assert.strictEqual(decoded.policies.retry?.maxRetries, 1)
    })
  )
})

describe("apply", () => {
  const override = { path: ["a", "b"], value: 2, from: "X" } as const

  it("keeps what stands beside it, and does not change its input", () => {
    const root = { a: { b: 1, c: 1 }, d: 1 }
    assert.deepStrictEqual(Environment.apply(root, override), { a: { b: 2, c: 1 }, d: 1 })
    assert.deepStrictEqual(root, { a: { b: 1, c: 1 }, d: 1 })
    assert.deepStrictEqual(Environment.apply({}, override), { a: { b: 2 } })
  })

  it("leaves what is no object for the check to name", () => {
    for (const root of [undefined, null, 1, "text", [1]])
      assert.deepStrictEqual(Environment.apply(root, override), root)
    assert.deepStrictEqual(Environment.apply({ a: "text" }, override), { a: "text" })
    assert.deepStrictEqual(Environment.apply({ a: [1] }, override), { a: [1] })
  })
})

describe("secret", () => {
  it.effect("is redacted, and undefined where its variable is missing", () =>
    Effect.gen(function* () {
      const found = yield* withEnv({ KEY: "s3cret" })(Environment.secret("KEY"))
      assert.strictEqual(found === undefined ? undefined : Redacted.value(found), "s3cret")
      assert.notInclude(String(found), "s3cret")
      assert.isUndefined(yield* withEnv({ KEY: "s3cret" })(Environment.secret("OTHER")))
    })
  )

  it.effect("the file's name comes from BALLAST_CONFIG", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* withEnv({ BALLAST_CONFIG: "a.json" })(Environment.configFile), "a.json")
      assert.isUndefined(yield* withEnv({})(Environment.configFile))
    })
  )
})
