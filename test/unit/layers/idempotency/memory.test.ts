import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import * as Memory from "../../../../src/layers/idempotency/memory.ts"
import { Idempotency } from "../../../../src/services/idempotency.ts"
import { answer, begin, suite } from "../../../conformance/idempotency.ts"

suite("memory", (limits) =>
  Effect.map(Layer.build(Memory.layer(limits)), (context) => {
    const service = Context.get(context, Idempotency)
    return [service, service]
  })
)

describe("Idempotency in memory", () => {
  it.effect("keeps an answer for a day by the Clock, and not a moment longer", () =>
    Effect.gen(function* () {
      const service = yield* Idempotency
      yield* answer(yield* begin(service, "k"))
      yield* TestClock.adjust("23 hours")
      assert.strictEqual((yield* begin(service, "k")).what, "Replay")
      yield* TestClock.adjust("1 hour")
      assert.strictEqual((yield* begin(service, "k")).what, "Run")
    }).pipe(Effect.provide(Memory.layer()))
  )
})
