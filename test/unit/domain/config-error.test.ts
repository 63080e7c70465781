import { assert, describe, it } from "@effect/vitest"
import { ConfigError, pathText } from "../../../src/domain/config-error.ts"

describe("ConfigError", () => {
  it("names every problem with path, found and allowed", () => {
    const error = new ConfigError({
      source: "f.json",
      problems: [
        { path: "server.port", found: "99999", allowed: "a number between 0 and 65535" },
        { path: "", found: "no such file", allowed: "a readable JSON file", hint: "look elsewhere" }
      ]
    })
    assert.strictEqual(
      error.message,
      [
        "f.json cannot be used: 2 problems",
        "  server.port\n    found    99999\n    allowed  a number between 0 and 65535",
        "  (the whole file)\n    found    no such file\n    allowed  a readable JSON file\n    hint     look elsewhere"
      ].join("\n\n")
    )
  })

  it("writes paths as a reader would type them", () => {
    assert.strictEqual(pathText(["models", 0, "candidates", 12, "provider"]), "models[0].candidates[12].provider")
    assert.strictEqual(pathText(["providers", "azure-eu", "apiKey"]), "providers.azure-eu.apiKey")
    assert.strictEqual(pathText(["features", "a b", "critical"]), 'features["a b"].critical')
    assert.strictEqual(pathText([]), "")
  })
})
