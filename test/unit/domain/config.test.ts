import { inspect } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import { Redacted } from "effect"
import { TenantId } from "../../../src/domain/caller.ts"
import type { ResolvedConfig } from "../../../src/domain/config.ts"
import { defaultConfig } from "../../../src/programs/config.ts"

describe("ResolvedConfig", () => {
  it("shows no secret, however it is printed", () => {
    const config: ResolvedConfig = {
      ...defaultConfig,
      auth: {
        mode: "keys",
        keys: [{ key: Redacted.make("sk-secret", { label: "KEY_A" }), tenant: TenantId.make("a"), plan: "standard" }]
      }
    }
    for (const text of [JSON.stringify(config), inspect(config, { depth: 9 }), String(config.auth.keys[0]?.key)]) {
      assert.notInclude(text, "sk-secret")
    }
    assert.include(JSON.stringify(config), "<redacted:KEY_A>")
  })
})
