import { describe } from "@effect/vitest"
import { Layer } from "effect"
import * as CircuitBreakerRedis from "../../../../src/layers/circuit-breaker/redis.ts"
import { suite } from "../../../conformance/circuit-breaker.ts"
import * as RedisClient from "../../../support/redis-client.ts"
import { available } from "../../../support/redis.ts"

describe.skipIf(!available)("circuit breaker over Redis", () => {
  suite("Redis", (values) => CircuitBreakerRedis.layer(values).pipe(Layer.provide(RedisClient.layer)))
})
