/** The end of a wait, before and after somebody listens. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import * as Refusals from "../../../../src/layers/bulkhead/refusals.ts"
import { Tenant } from "../../../../src/layers/bulkhead/tenant.ts"
import { Waiter } from "../../../../src/layers/bulkhead/waiter.ts"
import { ask, turns } from "../../../conformance/bulkhead-kit.ts"

const make = () => new Waiter(ask(), undefined, new Tenant("acme"), 100, 0, 0, 0)
const full = Effect.fail(Refusals.full(ask(), undefined, 100))

describe("Waiter", () => {
  it.effect("an end that came before anybody listened is not lost", () =>
    Effect.gen(function* () {
      const waiter = make()
      waiter.finish(full)
      assert.strictEqual((yield* Effect.flip(waiter.wait)).reason._tag, "QueueFull")
    })
  )

  it.effect("wakes the fiber in a turn of its own, not inside the step that ends the wait", () =>
    Effect.gen(function* () {
      const waiter = make()
      const fiber = yield* Effect.forkChild(Effect.flip(waiter.wait), { startImmediately: true })
      waiter.finish(full)
      assert.isUndefined(fiber.pollUnsafe())
      yield* turns(2)
      assert.isDefined(fiber.pollUnsafe())
      yield* Fiber.join(fiber)
    })
  )
})
