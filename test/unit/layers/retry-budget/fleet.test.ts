import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import * as RetryBudgetRedis from "../../../../src/layers/retry-budget/redis.ts"
import type { RetryPolicyValues } from "../../../../src/domain/policy.ts"
import * as Errors from "../../../../src/layers/redis/errors.ts"
import { RedisClient } from "../../../../src/layers/redis/client.ts"
import { drawn, eventually, policy, suite } from "../../../conformance/retry-budget-fleet.ts"
import type { Start } from "../../../conformance/retry-budget-fleet.ts"
import { configOf, layerOf } from "../../../support/redis-client.ts"
import { available, breakable, redis, startRedis } from "../../../support/redis.ts"

/** A process of the fleet that has this Redis. `change` is done to its client. */
const startOn = (
  url: string,
  prefix: string,
  values: RetryPolicyValues,
  change: (client: RedisClient["Service"]) => RedisClient["Service"] = (client) => client
): Start =>
  Effect.gen(function* () {
    const stores = yield* Layer.build(layerOf(configOf(url, prefix, 300)))
    const client = change(Context.get(stores, RedisClient))
    return yield* Effect.provideService(RetryBudgetRedis.make(values), RedisClient, client)
  })

/** Every other answer is lost, though the script was executed. */
const lossy = (client: RedisClient["Service"]): RedisClient["Service"] => {
  let count = 0
  const runUnsafe: typeof client.runUnsafe = (script, keys, args, done) => {
    const lost = count++ % 2 === 0
    client.runUnsafe(script, keys, args, (error, value) => {
      if (lost) done(Errors.timedOut(client.timeoutMs), undefined)
      else done(error, value)
    })
  }
  return RedisClient.of({ ...client, runUnsafe })
}

describe.skipIf(!available)("retry budget of a fleet over Redis", () => {
  suite("Redis", (values) => Effect.map(redis, ({ prefix, url }) => startOn(url, prefix, values)))

  it.live("an answer that is lost pays nothing in twice, and nothing out twice", () =>
    Effect.gen(function* () {
      const { prefix, url } = yield* redis
      const one = yield* startOn(url, prefix, policy)
      const two = yield* startOn(url, prefix, policy, lossy)
      assert.strictEqual(yield* drawn(one, 100), policy.budgetMax)
      for (let i = 0; i < 100; i++) two.deposit()
      yield* eventually(one, 10, 3_000)
      for (let i = 0; i < 5; i++) {
        yield* Effect.sleep(200)
        assert.strictEqual(yield* drawn(one, 10), 0)
      }
    })
  )

  it.live("a first call, and a success, ask Redis nothing", () =>
    Effect.gen(function* () {
      const { prefix, url } = yield* redis
      let asked = 0
      const budget = yield* startOn(url, prefix, policy, (client) =>
        RedisClient.of({
          ...client,
          runUnsafe: (...args) => {
            asked++
            client.runUnsafe(...args)
          }
        })
      )
      for (let i = 0; i < 100; i++) {
        yield* Effect.scoped(budget.enter)
        budget.deposit()
      }
      assert.strictEqual(asked, 0)
      // One question serves several draws.
      assert.strictEqual(yield* drawn(budget, 12), 12)
      assert.isAtMost(asked, 6)
    })
  )
})

describe.skipIf(!breakable)("retry budget of a fleet whose Redis goes away", () => {
  it.live("without it each process has its own part, and together they go on once it is back", () =>
    Effect.gen(function* () {
      const server = yield* startRedis
      const start = startOn(server.url, "fleet", policy)
      const [one, two] = [yield* start, yield* start]
      yield* server.pause
      // Ten for each process, as in memory.
      assert.strictEqual(yield* drawn(one, 100), 10)
      for (let i = 0; i < 20; i++) one.deposit()
      assert.strictEqual(yield* drawn(one, 100), 2)
      yield* server.resume
      // The fleet's bucket was not touched.
      yield* eventually(two, policy.budgetMax, 5_000)
      assert.strictEqual(yield* drawn(two, 10), 0)
      // Nor is what was used here meanwhile paid in there.
      for (let i = 0; i < 5; i++) {
        yield* Effect.sleep(200)
        assert.strictEqual(yield* drawn(two, 10), 0)
      }
    })
  )
})
