import { describe } from "@effect/vitest"
import { Layer } from "effect"
import * as RetryBudgetRedis from "../../../../src/layers/retry-budget/redis.ts"
import { suite } from "../../../conformance/retry-budget.ts"
import * as RedisClient from "../../../support/redis-client.ts"
import { available } from "../../../support/redis.ts"

describe.skipIf(!available)("retry budget over Redis", () => {
  suite("Redis", (values) => RetryBudgetRedis.layer(values).pipe(Layer.provide(RedisClient.layer)), true)
})
