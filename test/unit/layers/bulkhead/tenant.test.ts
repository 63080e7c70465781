import { assert, describe, it } from "@effect/vitest"
import { outside } from "../../../../src/layers/bulkhead/heap.ts"
import { Tenant } from "../../../../src/layers/bulkhead/tenant.ts"
import type { Waiter } from "../../../../src/layers/bulkhead/waiter.ts"

describe("Tenant", () => {
  it("begins in no list and in no order, and owes nothing", () => {
    const tenant = new Tenant<Waiter>("acme")
    assert.deepStrictEqual(
      [tenant.size, tenant.work, tenant.inFlight, tenant.finish, tenant.waitingWeight],
      [0, 0, 0, 0, 0]
    )
    assert.deepStrictEqual([tenant.firstPlace, tenant.lastPlace], [outside, outside])
    assert.isUndefined(tenant.restingSince)
  })
})
