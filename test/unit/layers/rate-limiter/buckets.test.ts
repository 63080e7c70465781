import { assert, describe, it } from "@effect/vitest"
import * as Caller from "../../../../src/domain/caller.ts"
import { Buckets } from "../../../../src/layers/rate-limiter/buckets.ts"

describe("Buckets", () => {
  it("finds the same bucket again, and none for a key the caller has not", () => {
    const buckets = new Buckets()
    const ann = Caller.make("acme", { user: "ann" })
    assert.isDefined(buckets.of("user", ann))
    assert.strictEqual(buckets.of("user", ann), buckets.of("user", ann))
    assert.isUndefined(buckets.of("ip", ann))
    assert.isUndefined(buckets.of("user", Caller.make("acme")))
    assert.strictEqual(buckets.of("global", ann), buckets.of("global", Caller.make("other")))
    assert.notStrictEqual(buckets.of("tenant", ann), buckets.of("tenant", Caller.make("other")))
  })

  it("forgets a tenant only after its users", () => {
    const buckets = new Buckets()
    const ann = Caller.make("acme", { user: "ann" })
    const bucket = buckets.of("user", ann)
    if (bucket === undefined) return assert.fail("no bucket")
    bucket.requestsFullAt = 100
    const tenant = buckets.of("tenant", ann)
    for (let i = 0; i < 10; i++) buckets.sweep(50)
    assert.strictEqual(buckets.size, 2)
    assert.strictEqual(buckets.of("tenant", ann), tenant)
    for (let i = 0; i < 10; i++) buckets.sweep(100)
    assert.strictEqual(buckets.size, 0)
  })

  it("sweeping nothing is fine", () => {
    const buckets = new Buckets()
    buckets.sweep(0)
    assert.strictEqual(buckets.size, 0)
  })
})
