/** What every layer of the Pacer port must do. Runs in real time, since Redis knows no other. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber } from "effect"
import type { Scope } from "effect"
import { defaults } from "../../src/domain/policy.ts"
import type { PacingPolicy } from "../../src/domain/policy.ts"
import * as Deadline from "../../src/services/deadline.ts"
import type { Pacer, PacerRequest } from "../../src/services/pacer.ts"

type Service = Pacer["Service"]

/** Builds the service for a policy; what it needs ends with the scope. */
export type Make = (policy: PacingPolicy) => Effect.Effect<Service, unknown, Scope.Scope>

/** A policy that uses all of its limit. */
export const policyOf = (values: Partial<PacingPolicy>): PacingPolicy => ({ ...defaults.pacing, share: 1, ...values })

/** A call that wants to leave. */
export const ask = (request: Partial<PacerRequest> = {}): PacerRequest => ({
  provider: "openai",
  key: "openai/gpt",
  tenant: "acme",
  tokens: 10,
  streamed: true,
  deadline: Deadline.none,
  ...request
})

/** A call whose deadline is `ms` from now. */
const within = (ms: number, request: Partial<PacerRequest> = {}) =>
  Effect.map(Clock.currentTimeMillis, (now) => ask({ ...request, deadline: Deadline.within(now, ms) }))

const take = (pacer: Service, request = ask()) => pacer.acquire(request)

const refusal = (pacer: Service, request: PacerRequest) =>
  Effect.map(Effect.flip(Effect.scoped(pacer.acquire(request))), (error) => {
    if (error._tag !== "PacerError") return assert.fail(`expected a PacerError, found ${error._tag}`)
    return error.reason
  })

/** Timers ring up to a tick late, and a server's clock is not ours. */
const slackMs = 30

export const suite = (name: string, make: Make, skip = false): void => {
  const live = (
    title: string,
    policy: Partial<PacingPolicy>,
    test: (pacer: Service) => Effect.Effect<void, unknown, Scope.Scope>
  ) => it.live(title, () => Effect.scoped(Effect.flatMap(make(policyOf(policy)), test)))

  describe.skipIf(skip)(`Pacer: ${name}`, () => {
    live(
      "lets a burst leave at once, and then no more than the limit",
      { requestsPerMinute: 1_200, burstMs: 250 },
      (pacer) =>
        Effect.gen(function* () {
          const began = yield* Clock.currentTimeMillis
          for (let call = 0; call < 13; call++) yield* take(pacer)
          const tookMs = (yield* Clock.currentTimeMillis) - began
          // 5 at once, 8 more at 20 a second.
          assert.isAtLeast(tookMs, 8 * 50 - slackMs)
        })
    )

    live("asks nothing and knows nothing where there is no limit", {}, (pacer) =>
      Effect.gen(function* () {
        const first = yield* take(pacer)
        const second = yield* take(pacer)
        assert.strictEqual(first, second)
        assert.strictEqual(first.waitedMs, 0)
        const { requests, tokens, waiting } = yield* pacer.state("openai", "openai/gpt")
        assert.deepStrictEqual([requests, tokens, waiting], [undefined, undefined, 0])
      })
    )

    live(
      "refuses whom there will be no room for in time, and says when there will",
      { requestsPerMinute: 6, burstMs: 1 },
      (pacer) =>
        Effect.gen(function* () {
          yield* take(pacer)
          const reason = yield* refusal(pacer, yield* within(1_000))
          if (reason._tag !== "NoRoom") return assert.fail(reason._tag)
          assert.strictEqual(reason.unit, "requests")
          assert.isAtLeast(reason.retryAfterMs, 8_000)
          assert.isAtMost(reason.retryAfterMs, 12_100)
        })
    )

    live("after a 429 nobody leaves before the Retry-After", {}, (pacer) =>
      Effect.gen(function* () {
        const permit = yield* take(pacer)
        const began = yield* Clock.currentTimeMillis
        permit.limited(400)
        const reason = yield* refusal(pacer, yield* within(200))
        assert.strictEqual(reason._tag, "Paused")
        assert.isUndefined(pacer.tryAcquireUnsafe(ask()))
        yield* take(pacer)
        assert.isAtLeast((yield* Clock.currentTimeMillis) - began, 400)
      })
    )

    live(
      "the same where a limit is known; those who cannot wait so long are told so",
      { requestsPerMinute: 600, burstMs: 100 },
      (pacer) =>
        Effect.gen(function* () {
          const permit = yield* take(pacer)
          const waiting = yield* Effect.forkChild(
            Effect.flip(Effect.scoped(Effect.flatMap(within(350), (request) => pacer.acquire(request)))),
            { startImmediately: true }
          )
          const began = yield* Clock.currentTimeMillis
          permit.limited(500)
          const error = yield* Fiber.join(waiting)
          assert.strictEqual(error._tag, "PacerError")
          yield* take(pacer)
          assert.isAtLeast((yield* Clock.currentTimeMillis) - began, 500)
        })
    )

    live("what was not used goes to the next", { requestsPerMinute: 6, burstMs: 1 }, (pacer) =>
      Effect.gen(function* () {
        for (let call = 0; call < 5; call++) {
          const permit = yield* Effect.flatMap(within(2_000), (request) => pacer.acquire(request))
          permit.unused()
          permit.unused()
        }
        yield* take(pacer)
        assert.strictEqual((yield* refusal(pacer, yield* within(500)))._tag, "NoRoom")
      })
    )

    live("a waiter that leaves makes room for the next", { requestsPerMinute: 150, burstMs: 1 }, (pacer) =>
      Effect.gen(function* () {
        yield* take(pacer)
        const gone = yield* Effect.forkChild(Effect.scoped(take(pacer)), { startImmediately: true })
        const next = yield* Effect.forkChild(Effect.scoped(take(pacer)), { startImmediately: true })
        assert.strictEqual((yield* pacer.state("openai", "openai/gpt")).waiting, 2)
        yield* Fiber.interrupt(gone)
        const { waitedMs } = yield* Fiber.join(next)
        assert.isAtLeast(waitedMs, 400 - slackMs)
        assert.isBelow(waitedMs, 750)
        assert.strictEqual((yield* pacer.state("openai", "openai/gpt")).waiting, 0)
      })
    )

    live("tenants take turns", { requestsPerMinute: 1_200, burstMs: 1 }, (pacer) =>
      Effect.gen(function* () {
        yield* take(pacer)
        const order: Array<string> = []
        const one = (tenant: string) =>
          Effect.forkChild(Effect.scoped(Effect.map(take(pacer, ask({ tenant })), () => void order.push(tenant))), {
            startImmediately: true
          })
        const fibers = []
        for (let call = 0; call < 4; call++) fibers.push(yield* one("whale"))
        fibers.push(yield* one("small"))
        yield* Effect.forEach(fibers, Fiber.join)
        assert.isAtMost(order.indexOf("small"), 1)
        assert.lengthOf(order, 5)
      })
    )

    live(
      "counts tokens, by estimate and then by what they were",
      { tokensPerMinute: 60_000, burstMs: 1_000 },
      (pacer) =>
        Effect.gen(function* () {
          const permit = yield* take(pacer, ask({ tokens: 1_000 }))
          const reason = yield* refusal(pacer, yield* within(300, { tokens: 1_000 }))
          if (reason._tag !== "NoRoom") return assert.fail(reason._tag)
          assert.strictEqual(reason.unit, "tokens")
          permit.settle(10)
          permit.settle(0)
          yield* Effect.flatMap(within(500, { tokens: 900 }), (request) => pacer.acquire(request))
          assert.strictEqual((yield* refusal(pacer, yield* within(200, { tokens: 1_000 })))._tag, "NoRoom")
        })
    )

    live(
      "more than may be saved up leaves when all of it has been",
      { tokensPerMinute: 60_000, burstMs: 300 },
      (pacer) =>
        Effect.gen(function* () {
          yield* take(pacer, ask({ tokens: 900 }))
          const { waitedMs } = yield* take(pacer, ask({ tokens: 300 }))
          // 600 are owed, and 300 are to be saved up.
          assert.isAtLeast(waitedMs, 900 - slackMs)
        })
    )

    live("keeps to the limit that the provider's answers name", { burstMs: 60_000 }, (pacer) =>
      Effect.gen(function* () {
        const permit = yield* take(pacer)
        permit.answered(100, { limitRequests: 6, remainingRequests: 0, remainingTokens: undefined })
        // What is left there is less than a full bucket, or there is a full one for all of the fleet.
        let left = 0
        for (; left < 7; left++) {
          const exit = yield* Effect.exit(
            Effect.scoped(Effect.flatMap(within(300), (request) => pacer.acquire(request)))
          )
          if (exit._tag === "Failure") break
        }
        assert.isBelow(left, 7)
        assert.strictEqual((yield* refusal(pacer, yield* within(300)))._tag, "NoRoom")
      })
    )
  })
}
