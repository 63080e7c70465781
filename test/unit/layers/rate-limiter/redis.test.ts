import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scheduler } from "effect"
import type { Scope } from "effect"
import * as Caller from "../../../../src/domain/caller.ts"
import type { RateLimitError } from "../../../../src/domain/errors.ts"
import type { RateLimits } from "../../../../src/domain/policy.ts"
import * as RedisClient from "../../../../src/layers/redis/client.ts"
import { available, breakable, redis, startCluster, startRedis } from "../../../support/redis.ts"
import * as Stores from "../../../support/stores.ts"

const ann = Caller.make("acme", { user: "ann", ip: "10.0.0.1" })

type Open = (limits: Partial<RateLimits>) => Effect.Effect<Stores.Process, never, Scope.Scope>

/** Ask once, and stay counted. */
const ask = ({ limiter }: Stores.Process, caller = ann, tokens = 0, used = tokens) =>
  Effect.exit(Effect.scoped(Effect.map(limiter.reserve(caller, tokens), (reservation) => reservation.settle(used))))

const passed = (process: Stores.Process, tries: number, caller = ann, tokens = 0) =>
  Effect.map(
    Effect.forEach(Array.from({ length: tries }), () => ask(process, caller, tokens)),
    (exits) => exits.filter(Exit.isSuccess).length
  )

const age = RedisClient.script(`
for _, key in ipairs(redis.call('KEYS', ARGV[1])) do
  redis.call('SET', key, redis.call('GET', key) - ARGV[2], 'KEEPTTL')
end
return 1`)

/** As if so much time had passed: every bucket is full so much earlier. */
const passes = ({ client }: Stores.Process, ms: number) =>
  // `KEYS` takes a pattern, in which the braces of the hash tag mean nothing.
  client.run(age, [client.key("fence")], [client.key("rl:*"), Math.ceil(ms * 1_000)])

const reasonOf = <A>(exit: Exit.Exit<A, RateLimitError>) => Effect.map(Effect.flip(exit), ({ reason }) => reason)

const suite = (name: string, open: Open, skip: boolean) =>
  describe.skipIf(skip)(`rate limits over ${name}`, () => {
    const live = <A, E>(
      title: string,
      limits: Partial<RateLimits>,
      test: (process: Stores.Process) => Effect.Effect<A, E, Scope.Scope>
    ) => it.live(title, () => Effect.scoped(Effect.flatMap(open(limits), test)))

    live("a burst passes the limit exactly, then one for each refill", { user: { requestsPerMinute: 7 } }, (process) =>
      Effect.gen(function* () {
        assert.strictEqual(yield* passed(process, 20), 7)
        yield* passes(process, 60_000 / 7)
        assert.strictEqual(yield* passed(process, 5), 1)
        yield* passes(process, 60_000)
        assert.strictEqual(yield* passed(process, 20), 7)
      })
    )

    live(
      "all dimensions or none are charged, and the longest wait is named",
      {
        user: { requestsPerMinute: 2 },
        ip: { requestsPerMinute: 100 },
        tenant: { tokensPerMinute: 1_000 },
        global: { requestsPerMinute: 50 }
      },
      (process) =>
        Effect.gen(function* () {
          assert.strictEqual(yield* passed(process, 9, ann, 10), 2)
          const reason = yield* reasonOf(yield* ask(process, ann, 10))
          assert.deepInclude(reason, { _tag: "Exceeded", dimension: "user", unit: "requests", limit: 2 })
          // What was refused took nothing from the others: 48 of 50 are left.
          const others = yield* Effect.forEach(Array.from({ length: 60 }), (_, n) =>
            ask(process, Caller.make("other", { user: `u${n}`, ip: `ip${n}` }))
          )
          assert.strictEqual(others.filter(Exit.isSuccess).length, 48)
        })
    )

    live("tokens are settled to what was used, both ways", { tenant: { tokensPerMinute: 1_000 } }, (process) =>
      Effect.gen(function* () {
        yield* ask(process, ann, 900, 100)
        yield* process.admission.settlements.flush
        assert.isTrue(Exit.isSuccess(yield* ask(process, ann, 890, 890)))
        assert.isTrue(Exit.isFailure(yield* ask(process, ann, 100)))
        yield* passes(process, 60_000)
        yield* ask(process, ann, 100, 900)
        yield* process.admission.settlements.flush
        assert.isTrue(Exit.isFailure(yield* ask(process, ann, 200)))
      })
    )

    live(
      "a request larger than the limit is told that waiting cannot help",
      { user: { tokensPerMinute: 100 } },
      (process) =>
        Effect.gen(function* () {
          assert.deepInclude(yield* reasonOf(yield* ask(process, ann, 101)), {
            _tag: "NeverFits",
            asked: 101,
            limit: 100
          })
          assert.isTrue(Exit.isSuccess(yield* ask(process, ann, 100)))
        })
    )

    live(
      "tenants share no user, however their ids are written, and premium has twice as much",
      {
        user: { requestsPerMinute: 1 }
      },
      (process) =>
        Effect.gen(function* () {
          for (const [tenant, user] of [
            ["a", "b:c"],
            ["a:b", "c"],
            ["1:a", "b"],
            ["1", "a:b"]
          ] as const) {
            assert.strictEqual(yield* passed(process, 3, Caller.make(tenant, { user })), 1)
          }
          assert.strictEqual(yield* passed(process, 5, Caller.make("p", { user: "x", plan: "premium" })), 2)
        })
    )

    live("interrupted anywhere, all comes back", { user: { requestsPerMinute: 100 } }, (process) =>
      Effect.gen(function* () {
        for (let ops = 3; ops <= 40; ops++) {
          const fiber = yield* Effect.forkChild(
            Effect.provideService(
              Effect.scoped(Effect.andThen(process.limiter.reserve(ann, 1), Effect.never)),
              Scheduler.MaxOpsBeforeYield,
              ops
            )
          )
          for (let turn = 0; turn < ops % 7; turn++) yield* Effect.yieldNow
          yield* Fiber.interrupt(fiber)
        }
        // A round trip later every answer is here, and what nobody wanted is on its way back.
        yield* process.client.send("PING")
        yield* process.admission.settlements.flush
        assert.isAtLeast(yield* passed(process, 120), 99)
      })
    )
  })

suite("Redis", (limits) => Effect.flatMap(redis, (server) => Stores.process({ ...server, limits })), !available)
suite(
  "Redis Cluster",
  (limits) => Effect.flatMap(startCluster, ({ url }) => Stores.process({ url, prefix: "rl", cluster: true, limits })),
  !breakable
)

describe.skipIf(!breakable)("rate limits of several processes", () => {
  it.live("have one limit together", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const server = yield* redis
        const limits = { user: { requestsPerMinute: 50 } }
        const processes = yield* Effect.forEach([1, 2, 3, 4], () => Stores.process({ ...server, limits }))
        const counts = yield* Effect.forEach(processes, (process) => passed(process, 30), { concurrency: "unbounded" })
        assert.strictEqual(
          counts.reduce((sum, count) => sum + count, 0),
          50
        )
      })
    )
  )

  it.live("while Redis is away run on a share, within their time, and are one again when it is back", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const server = yield* startRedis
        const limits = { user: { requestsPerMinute: 600 } }
        const options = { url: server.url, prefix: "t", timeoutMs: 30, limits }
        const [one, two] = [yield* Stores.process(options), yield* Stores.process(options)]
        while (one.fleet.processes < 2 || two.fleet.processes < 2) yield* Effect.sleep(20)
        yield* server.pause
        // Two processes, 0.8 of the limit, a tenth of a minute: 24 each at once.
        const counts = [yield* passed(one, 100), yield* passed(two, 100)]
        for (const count of counts) {
          assert.isAtLeast(count, 20)
          assert.isAtMost(count, 32)
        }
        yield* server.resume
        while (one.client.down()) {
          yield* ask(one)
          yield* Effect.sleep(20)
        }
      })
    )
  )
})
