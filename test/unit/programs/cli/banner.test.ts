import { assert, describe, it } from "@effect/vitest"
import { Redacted } from "effect"
import { TenantId } from "../../../../src/domain/caller.ts"
import { banner, url } from "../../../../src/programs/cli/banner.ts"
import { defaultConfig } from "../../../../src/programs/config.ts"

describe("banner", () => {
  it("says where, for whom, which models and how to try, with the ports that were bound", () => {
    const text = banner(defaultConfig, "1.2.3", { port: 4321, adminPort: 9 })
    assert.include(text, "Ballast 1.2.3 listens on http://127.0.0.1:4321\n")
    assert.include(text, "open: no key")
    assert.include(text, "sim-chat, sim-small")
    assert.include(text, "http://127.0.0.1:9/metrics")
    assert.include(text, "curl http://127.0.0.1:4321/v1/chat/completions")
    assert.notInclude(text, "authorization")
  })

  it("names a key by its variable and never shows it", () => {
    const key = {
      key: Redacted.make("sk-secret", { label: "KEY_A" }),
      tenant: TenantId.make("a"),
      plan: "standard"
    } as const
    const text = banner({ ...defaultConfig, auth: { mode: "keys", keys: [key] } }, "1.2.3")
    assert.include(text, 'authorization: Bearer $KEY_A"')
    assert.include(text, "keys: 1 tenant\n")
    assert.notInclude(text, "sk-secret")
  })
})

describe("url", () => {
  it("is one a client on this machine can open", () => {
    assert.strictEqual(url("0.0.0.0", 1), "http://127.0.0.1:1")
    assert.strictEqual(url("::", 1), "http://[::1]:1")
    assert.strictEqual(url("::1", 1), "http://[::1]:1")
    assert.strictEqual(url("[::1]", 1), "http://[::1]:1")
    assert.strictEqual(url("gateway.internal", 1), "http://gateway.internal:1")
  })
})
