import { Layer } from "effect"
import * as BulkheadMemory from "../../../../src/layers/bulkhead/memory.ts"
import * as TimerWheel from "../../../../src/layers/timers/wheel.ts"
import { suite } from "../../../conformance/bulkhead.ts"

suite("memory", (policy, overrides) =>
  Layer.provide(BulkheadMemory.layer(policy, overrides), Layer.fresh(TimerWheel.layer))
)
