import { assert, describe, it } from "vitest"
import { Redacted, Schema } from "effect"
import { Config } from "../../../../src/domain/config-file.ts"
import type { BallastConfigInput } from "../../../../src/domain/config-file.ts"
import * as Policy from "../../../../src/domain/policy.ts"
import { resolve } from "../../../../src/programs/config/resolve.ts"

const price = { inputPerMillion: 1.5, outputPerMillion: 2 }
const resolved = (input: BallastConfigInput) =>
  resolve(Schema.decodeSync(Config)(input), ({ env }) => Redacted.make(`value of ${env}`))
const revealed = (secret: Redacted.Redacted<string> | string | undefined) =>
  Redacted.isRedacted(secret) ? Redacted.value(secret) : secret

describe("a provider", () => {
  const provider = (input: NonNullable<BallastConfigInput["providers"]>[string]) =>
    resolved({ providers: { p: input } }).providers["p"]!

  it("has the address of its kind, or its own without slashes at the end", () => {
    assert.strictEqual(provider({ kind: "openai" }).baseUrl, "https://api.openai.com/v1")
    assert.strictEqual(provider({ kind: "anthropic" }).baseUrl, "https://api.anthropic.com/v1")
    assert.strictEqual(provider({ kind: "sim" }).baseUrl, "")
    assert.strictEqual(provider({ kind: "openai", baseUrl: "http://h/v1//" }).baseUrl, "http://h/v1")
  })

  it("sends its key as its kind does, unless told otherwise", () => {
    const apiKey = { env: "KEY" }
    const auths = (["openai", "openai-compatible", "azure", "anthropic"] as const).map(
      (kind) => provider({ kind, apiKey }).auth
    )
    assert.deepStrictEqual(auths, ["bearer", "bearer", "api-key", "api-key"])
    assert.strictEqual(provider({ kind: "openai-compatible" }).auth, "none")
    assert.strictEqual(provider({ kind: "anthropic", apiKey, auth: "bearer" }).auth, "bearer")
    assert.strictEqual(revealed(provider({ kind: "openai", apiKey }).apiKey), "value of KEY")
    assert.isUndefined(provider({ kind: "openai" }).apiKey)
  })

  it("has headers by lower-case name, secret ones redacted", () => {
    const { headers } = provider({ kind: "openai", headers: { "X-Team": "a", "X-Token": { env: "TOKEN" } } })
    assert.deepStrictEqual(
      Object.entries(headers).map(([name, value]) => [name, revealed(value)]),
      [
        ["x-team", "a"],
        ["x-token", "value of TOKEN"]
      ]
    )
    assert.notInclude(JSON.stringify(headers), "value of")
  })

  it("has its own bulkhead over that of all", () => {
    const { providers } = resolved({
      providers: { p: { kind: "sim", bulkhead: { maxQueue: 1 } }, q: { kind: "sim" } },
      policies: { bulkhead: { maxInFlight: 3 } }
    })
    const all = { ...Policy.defaults.bulkhead, maxInFlight: 3 }
    assert.deepStrictEqual(providers["p"]?.bulkhead, { ...all, maxQueue: 1 })
    assert.deepStrictEqual(providers["q"]?.bulkhead, all)
  })
})

describe("a model", () => {
  const model = (input: Partial<NonNullable<BallastConfigInput["models"]>[number]>) =>
    resolved({
      providers: { p: { kind: "sim", region: "eu" }, q: { kind: "sim" } },
      models: [{ alias: "m", candidates: ["p/x"], price, ...input }]
    }).models[0]!

  it("has its candidates in order, in the region of their provider unless it has one of its own", () => {
    assert.deepStrictEqual(
      model({ candidates: ["q/vendor/x", "p/x", { provider: "p", model: "y", region: "us" }] }).candidates,
      [
        { provider: "q", model: "vendor/x" },
        { provider: "p", model: "x", region: "eu" },
        { provider: "p", model: "y", region: "us" }
      ]
    )
  })

  it("has its price in micro-dollars", () => {
    assert.deepStrictEqual(model({}).price, { input: 1_500_000, output: 2_000_000 })
  })

  it("may answer as much as fits, and nothing where it embeds", () => {
    assert.strictEqual(model({}).maxOutputTokens, 16_384)
    assert.strictEqual(model({ contextTokens: 100 }).maxOutputTokens, 100)
    assert.strictEqual(model({ maxOutputTokens: 7 }).maxOutputTokens, 7)
    assert.strictEqual(model({ kind: "embedding" }).maxOutputTokens, 0)
  })
})

describe("the rest", () => {
  it("keys are revealed, and printing the whole shows none", () => {
    const all = resolved({ auth: { mode: "keys", keys: [{ key: { env: "K" }, tenant: "t", plan: "premium" }] } })
    assert.deepStrictEqual(
      all.auth.keys.map(({ key, plan, tenant }) => [revealed(key), tenant, plan]),
      [["value of K", "t", "premium"]]
    )
    assert.notInclude(JSON.stringify(all), "value of")
  })

  it("switches that are off from the start are kept", () => {
    assert.deepStrictEqual(resolved({ killSwitches: [{ kind: "model", target: "m", note: "why" }] }).killSwitches, [
      { kind: "model", target: "m", note: "why" }
    ])
  })
})
