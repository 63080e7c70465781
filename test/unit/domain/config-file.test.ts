import { readFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { Result, Schema } from "effect"
import { render } from "../../../scripts/config-schema.ts"
import * as Default from "../../../src/domain/config-default.ts"
import { Config } from "../../../src/domain/config-file.ts"
import * as Policy from "../../../src/domain/policy.ts"

const strict = { errors: "all", onExcessProperty: "error" } as const
const decode = Schema.decodeUnknownResult(Config, strict)

describe("Config", () => {
  it("has a default for everything but the root", () => {
    const config = Schema.decodeSync(Config)({})
    assert.strictEqual(config.server.host, "127.0.0.1")
    assert.strictEqual(config.server.port, 8080)
    assert.strictEqual(config.server.adminPort, 9464)
    assert.strictEqual(config.server.bodyLimitBytes, 4_194_304)
    assert.strictEqual(config.auth.mode, "open")
    assert.deepStrictEqual(config.telemetry, { sampleRatio: 0.01, slowMs: 10_000 })
    assert.deepStrictEqual(config.policies, {})
    assert.isTrue(Result.isFailure(decode(null)))
  })

  it.prop(
    "encodes and decodes to itself",
    [Schema.toType(Config)],
    ([config]) => {
      const text = JSON.stringify(Schema.encodeSync(Config)(config))
      const again = Schema.decodeUnknownSync(Config, strict)(JSON.parse(text))
      // As text, because JSON has no -0.
      assert.strictEqual(JSON.stringify(Schema.encodeSync(Config)(again)), text)
    },
    { arbitrary: { runs: 40 } }
  )

  it("takes every policy by its own name, each alone", () => {
    for (const [group, values] of Object.entries(Policy.defaults)) {
      for (const [key, value] of Object.entries(Object(values))) {
        const alone = decode({ policies: { [group]: { [key]: value } } })
        assert.isTrue(Result.isSuccess(alone), `${group}.${key}`)
      }
    }
  })

  it("accepts the example and the built-in default", () => {
    const example: unknown = JSON.parse(readFileSync("ballast.config.example.json", "utf8"))
    assert.isTrue(Result.isSuccess(decode(example)))
    assert.isTrue(Result.isSuccess(decode({ providers: Default.providers, models: Default.models })))
  })
})

describe("the published JSON Schema", () => {
  const text = readFileSync("schema/ballast.config.schema.json", "utf8")

  it("is up to date (npm run schema)", () => {
    assert.strictEqual(text, render())
  })

  it("carries descriptions, defaults and the strictness of the decoder", () => {
    const schema = JSON.parse(text)
    assert.strictEqual(schema.properties.server.properties.port.default, 8080)
    assert.strictEqual(schema.properties.server.additionalProperties, false)
    assert.strictEqual(
      schema.properties.policies.properties.rateLimits.properties.user.properties.requestsPerMinute.default,
      100
    )
    assert.deepStrictEqual(schema.$defs.SecretRef.required, ["env"])
    const [provider] = Object.values<{ properties: { baseUrl: { description: unknown } } }>(
      schema.properties.providers.patternProperties
    )
    assert.isString(provider?.properties.baseUrl.description)
  })
})
