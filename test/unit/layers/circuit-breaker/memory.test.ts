import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as CircuitBreakerMemory from "../../../../src/layers/circuit-breaker/memory.ts"
import { CircuitBreaker } from "../../../../src/services/circuit-breaker.ts"
import { suite } from "../../../conformance/circuit-breaker.ts"
import { bad, key, policy, slow, stateOf, times } from "../../../conformance/circuit-breaker-kit.ts"

suite("memory", (values) => CircuitBreakerMemory.layer(values))

describe("circuit breaker in memory", () => {
  it.effect("told what can stand in for what, it opens for slowness only where something can", () =>
    Effect.gen(function* () {
      yield* times(20, slow)
      assert.strictEqual(yield* stateOf(), "closed")
      yield* times(20, bad)
      assert.strictEqual(yield* stateOf(), "open")
    }).pipe(Effect.provide(CircuitBreakerMemory.layer(policy, { pools: [[key], ["a", "b"]] })))
  )

  it.effect("an acquisition of a key makes nothing but its lease", () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker
      assert.strictEqual(breaker.acquireUnsafe(key), breaker.acquireUnsafe(key))
    }).pipe(Effect.provide(CircuitBreakerMemory.layer(policy)))
  )
})
