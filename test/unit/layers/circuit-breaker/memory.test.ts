import * as CircuitBreakerMemory from "../../../../src/layers/circuit-breaker/memory.ts"
import { suite } from "../../../conformance/circuit-breaker.ts"

suite("memory", CircuitBreakerMemory.layer)
