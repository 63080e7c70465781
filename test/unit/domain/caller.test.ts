import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as Caller from "../../../src/domain/caller.ts"

describe("make", () => {
  it("fills in the usual values, and leaves out who is not known", () => {
    assert.deepStrictEqual<unknown>(Caller.make("acme"), {
      tenant: "acme",
      plan: "standard",
      feature: "default",
      critical: true
    })
    assert.deepStrictEqual<unknown>(Caller.make("acme", { user: "ada", ip: "::1", plan: "premium", critical: false }), {
      tenant: "acme",
      plan: "premium",
      feature: "default",
      critical: false,
      user: "ada",
      ip: "::1"
    })
    assert.isFalse("user" in Caller.make("acme", { user: undefined }))
  })

  it("makes callers of the schema, and none without a tenant", () => {
    assert.isTrue(Schema.is(Caller.Caller)(Caller.make("acme", { user: "ada" })))
    assert.isTrue(Schema.is(Caller.Caller)(Caller.anonymous))
    assert.throws(() => Caller.make(""))
  })
})
