/** What every layer of the RateLimiter port must do. Runs in virtual time. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Layer, Scheduler, Schema, Scope } from "effect"
import { TestClock } from "effect/testing"
import * as Caller from "../../src/domain/caller.ts"
import type { RateLimitError } from "../../src/domain/errors.ts"
import type { Limit, RateLimits } from "../../src/domain/policy.ts"
import { RateLimiter } from "../../src/services/rate-limiter.ts"
import * as RequestRecord from "../../src/services/request-record.ts"
import { enter } from "../support/raw-entry.ts"

const limits = (some: { readonly [K in "user" | "ip" | "tenant" | "global"]?: Limit }): RateLimits => ({
  user: {},
  ip: {},
  tenant: {},
  global: {},
  premiumFactor: 2,
  ...some
})

const caller = Caller.make("acme", { user: "ann", ip: "10.0.0.1" })

const at = (user: string, ip: string) => Caller.make("acme", { user, ip })

/** Reserve and keep the request counted. */
const spend = (who: Caller.Caller, tokens = 0) =>
  Effect.gen(function* () {
    const limiter = yield* RateLimiter
    const reservation = yield* limiter.reserve(who, tokens)
    reservation.settle(tokens)
    return reservation
  }).pipe(Effect.scoped)

/** How many of `tries` requests pass. */
const passed = (who: Caller.Caller, tries: number, tokens = 0) =>
  Effect.map(
    Effect.forEach(Array.from({ length: tries }), () => Effect.exit(spend(who, tokens))),
    (exits) => exits.filter(Exit.isSuccess).length
  )

const exceeded = <A, R>(effect: Effect.Effect<A, RateLimitError, R>) =>
  Effect.map(Effect.flip(effect), ({ reason }) => {
    if (reason._tag !== "Exceeded") return assert.fail(`expected Exceeded, found ${reason._tag}`)
    return reason
  })

export const suite = (name: string, layer: (limits: RateLimits) => Layer.Layer<RateLimiter>): void => {
  const effect = <A, E>(
    title: string,
    some: Parameters<typeof limits>[0],
    test: Effect.Effect<A, E, RateLimiter | Scope.Scope>
  ) => it.effect(title, () => Effect.provide(test, layer(limits(some))))

  describe(`RateLimiter: ${name}`, () => {
    effect(
      "a burst passes the limit exactly, then one for each refill",
      { user: { requestsPerMinute: 7 } },
      Effect.gen(function* () {
        assert.strictEqual(yield* passed(caller, 20), 7)
        yield* TestClock.adjust(60_000 / 7 - 1)
        assert.strictEqual(yield* passed(caller, 1), 0)
        yield* TestClock.adjust(1)
        assert.strictEqual(yield* passed(caller, 5), 1)
        yield* TestClock.adjust("1 hour")
        assert.strictEqual(yield* passed(caller, 20), 7)
      })
    )

    effect(
      "retryAfterMs is exact",
      { user: { tokensPerMinute: 600 } },
      Effect.gen(function* () {
        yield* spend(caller, 550)
        const { retryAfterMs } = yield* exceeded(spend(caller, 100))
        assert.approximately(retryAfterMs, 5_000, 0.01)
        yield* TestClock.adjust(Math.floor(retryAfterMs) - 1)
        assert.isBelow((yield* exceeded(spend(caller, 100))).retryAfterMs, 3)
        yield* TestClock.adjust(2)
        yield* spend(caller, 100)
      })
    )

    effect(
      "nothing is charged when one dimension refuses",
      { user: { requestsPerMinute: 10 }, tenant: { requestsPerMinute: 2 } },
      Effect.gen(function* () {
        assert.strictEqual(yield* passed(caller, 10), 2)
        yield* TestClock.adjust("30 seconds")
        const { states } = yield* spend(caller)
        // 10 - 2 spent, 5 refilled up to the limit, 1 spent now: the refused ones left no trace.
        assert.strictEqual(states.find(({ dimension }) => dimension === "user")?.remaining, 9)
      })
    )

    effect(
      "the refusal names the longest wait",
      { user: { requestsPerMinute: 60 }, global: { requestsPerMinute: 1 }, ip: { tokensPerMinute: 100 } },
      Effect.gen(function* () {
        yield* spend(caller, 100)
        const reason = yield* exceeded(spend(caller, 10))
        assert.strictEqual(reason.dimension, "global")
        assert.strictEqual(reason.unit, "requests")
        assert.strictEqual(reason.limit, 1)
        assert.strictEqual(reason.windowMs, 60_000)
        assert.approximately(reason.retryAfterMs, 60_000, 0.01)
      })
    )

    effect(
      "larger than the limit never fits",
      { tenant: { tokensPerMinute: 100 } },
      Effect.gen(function* () {
        const { reason } = yield* Effect.flip(spend(caller, 101))
        assert.deepStrictEqual(reason, {
          _tag: "NeverFits",
          dimension: "tenant",
          unit: "tokens",
          limit: 100,
          asked: 101
        })
        yield* spend(caller, 100)
      })
    )

    effect(
      "errors carry the request's id",
      { user: { requestsPerMinute: 1 } },
      Effect.gen(function* () {
        yield* spend(caller)
        const record = RequestRecord.make({ id: "req-7", operation: "chat", caller, startedAt: 0 })
        const error = yield* Effect.flip(Effect.provideService(spend(caller), RequestRecord.CurrentRecord, record))
        assert.strictEqual(error.requestId, "req-7")
      })
    )

    effect(
      "users, tenants and addresses do not share buckets, whatever they are called",
      { user: { requestsPerMinute: 1 } },
      Effect.gen(function* () {
        const names: Array<[string, string]> = [
          ["a", "b:c"],
          ["a:b", "c"],
          ["a", "b"],
          ["a:b:c", ""],
          ["b", "a"],
          ["__proto__", "constructor"]
        ]
        for (const [tenant, user] of names) {
          const who = Caller.make(tenant, user === "" ? {} : { user })
          assert.strictEqual(yield* passed(who, 3), user === "" ? 3 : 1, `${tenant} / ${user}`)
        }
      })
    )

    effect(
      "one address is one bucket, a tenant's users share the tenant's",
      { ip: { requestsPerMinute: 3 }, tenant: { requestsPerMinute: 4 } },
      Effect.gen(function* () {
        assert.strictEqual(yield* passed(at("a", "1.1.1.1"), 2), 2)
        assert.strictEqual(yield* passed(at("b", "1.1.1.1"), 2), 1)
        assert.strictEqual(yield* passed(at("c", "2.2.2.2"), 2), 1)
      })
    )

    effect(
      "premium callers get more of user, ip and tenant, not of global",
      { user: { requestsPerMinute: 2 }, global: { requestsPerMinute: 5 } },
      Effect.gen(function* () {
        const premium = Caller.make("rich", { user: "ann", plan: "premium" })
        assert.strictEqual(yield* passed(premium, 10), 4)
        assert.strictEqual(yield* passed(Caller.make("poor", { user: "bob" }), 10), 1)
      })
    )

    effect(
      "states tell of each limited dimension after the charge",
      { user: { requestsPerMinute: 10, tokensPerMinute: 1_000 }, global: { requestsPerMinute: 60 } },
      Effect.gen(function* () {
        const { states } = yield* spend(caller, 250)
        assert.deepStrictEqual(
          states.map(({ resetMs, ...state }) => ({ ...state, resetMs: Math.round(resetMs) })),
          [
            { dimension: "user", unit: "requests", limit: 10, remaining: 9, windowMs: 60_000, resetMs: 6_000 },
            { dimension: "user", unit: "tokens", limit: 1_000, remaining: 750, windowMs: 60_000, resetMs: 15_000 },
            { dimension: "global", unit: "requests", limit: 60, remaining: 59, windowMs: 60_000, resetMs: 1_000 }
          ]
        )
      })
    )

    effect(
      "settling replaces the estimate, once",
      { user: { tokensPerMinute: 1_000 } },
      Effect.gen(function* () {
        const limiter = yield* RateLimiter
        const less = yield* limiter.reserve(caller, 800)
        less.settle(300)
        less.settle(0)
        const [state] = (yield* spend(caller, 0)).states
        assert.strictEqual(state?.remaining, 700)
        const more = yield* limiter.reserve(caller, 100)
        more.settle(900)
        // 200 beyond the limit: in debt until they are refilled.
        assert.approximately((yield* exceeded(spend(caller, 1))).retryAfterMs, 12_060, 0.1)
      })
    )

    effect(
      "an unsettled reservation is given back when its scope closes, a settled one is not",
      { user: { requestsPerMinute: 5, tokensPerMinute: 100 } },
      Effect.gen(function* () {
        const limiter = yield* RateLimiter
        for (let i = 0; i < 20; i++) yield* Effect.scoped(limiter.reserve(caller, 100))
        const { states } = yield* spend(caller, 60)
        assert.deepStrictEqual(
          states.map(({ remaining }) => remaining),
          [4, 40]
        )
      })
    )

    effect(
      "giving back never makes more than the limit",
      { user: { requestsPerMinute: 5, tokensPerMinute: 100 } },
      Effect.gen(function* () {
        const limiter = yield* RateLimiter
        const scope = yield* Scope.make()
        yield* Scope.provide(limiter.reserve(caller, 100), scope)
        yield* TestClock.adjust("10 minutes")
        yield* Scope.close(scope, Exit.void)
        assert.strictEqual(yield* passed(caller, 20, 10), 5)
      })
    )

    effect(
      "a late settlement is charged even when the caller was idle meanwhile",
      { user: { tokensPerMinute: 100 } },
      Effect.gen(function* () {
        const limiter = yield* RateLimiter
        const reservation = yield* limiter.reserve(caller, 10)
        yield* TestClock.adjust("10 minutes")
        // Others come and go, so that anything forgettable is forgotten.
        for (let i = 0; i < 50; i++) yield* spend(Caller.make("other", { user: `u${i}` }), 1)
        reservation.settle(110)
        assert.approximately((yield* exceeded(spend(caller, 1))).retryAfterMs, 600, 0.1)
      })
    )

    effect(
      "nonsense token counts count as none",
      { user: { tokensPerMinute: 10 } },
      Effect.gen(function* () {
        assert.strictEqual(yield* passed(caller, 3, NaN), 3)
        assert.strictEqual(yield* passed(caller, 3, -100), 3)
        assert.strictEqual(yield* passed(caller, 11, 1), 10)
      })
    )

    effect(
      "the raw way in and the scoped one charge the same buckets and refuse alike",
      { user: { requestsPerMinute: 4, tokensPerMinute: 100 } },
      Effect.gen(function* () {
        const limiter = yield* RateLimiter
        const scoped = yield* limiter.reserve(caller, 10)
        const raw = yield* enter(limiter.reserveUnsafe(caller, 10))
        assert.deepStrictEqual(
          [scoped, raw].map(({ states }) => states.map(({ remaining }) => remaining)),
          [
            [3, 90],
            [2, 80]
          ]
        )
        const viaScope = yield* Effect.flip(limiter.reserve(caller, 90))
        const viaRaw = yield* Effect.flip(enter(limiter.reserveUnsafe(caller, 90), "req-8"))
        assert.deepStrictEqual(viaRaw.reason, viaScope.reason)
        assert.strictEqual(viaRaw.requestId, "req-8")
        raw.release()
        const again = yield* enter(limiter.reserveUnsafe(caller, 90))
        assert.deepStrictEqual(
          again.states.map(({ remaining }) => remaining),
          [2, 0]
        )
      })
    )

    effect(
      "releasing twice gives back once; after a settlement releasing does nothing, and the other way round",
      { user: { requestsPerMinute: 10, tokensPerMinute: 100 } },
      Effect.gen(function* () {
        const limiter = yield* RateLimiter
        const left = Effect.map(Effect.scoped(limiter.reserve(caller, 0)), ({ states }) =>
          states.map(({ remaining }) => remaining)
        )
        yield* spend(caller, 50)
        const twice = yield* enter(limiter.reserveUnsafe(caller, 20))
        twice.release()
        twice.release()
        assert.deepStrictEqual(yield* left, [8, 50])
        const settled = yield* enter(limiter.reserveUnsafe(caller, 20))
        settled.settle(10)
        settled.release()
        assert.deepStrictEqual(yield* left, [7, 40])
        const released = yield* enter(limiter.reserveUnsafe(caller, 20))
        released.release()
        released.settle(20)
        assert.deepStrictEqual(yield* left, [7, 40])
        // By hand and by its scope.
        yield* Effect.scoped(Effect.map(limiter.reserve(caller, 20), (reservation) => reservation.release()))
        assert.deepStrictEqual(yield* left, [7, 40])
      })
    )

    effect(
      "no interruption loses or doubles a charge",
      { user: { requestsPerMinute: 1_000 } },
      Effect.gen(function* () {
        const limiter = yield* RateLimiter
        for (let ops = 3; ops <= 64; ops++) {
          for (let turns = 0; turns < 4; turns++) {
            const fiber = yield* Effect.scoped(Effect.andThen(limiter.reserve(caller, 1), Effect.never)).pipe(
              Effect.provideService(Scheduler.MaxOpsBeforeYield, ops),
              Effect.forkChild
            )
            for (let i = 0; i < turns; i++) yield* Effect.yieldNow
            yield* Fiber.interrupt(fiber)
          }
        }
        const [state] = (yield* spend(caller)).states
        assert.strictEqual(state?.remaining, 999)
      })
    )

    const calls = Schema.Array(
      Schema.Struct({
        afterMs: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 20_000 })),
        tokens: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 120 }))
      })
    )
    it.effect.prop("admits no more than limit and refill, and is right about when to return", [calls], ([steps]) =>
      Effect.gen(function* () {
        let time = 0
        const admitted: Array<[number, number]> = []
        for (const { afterMs, tokens } of steps) {
          yield* TestClock.adjust(afterMs)
          time += afterMs
          const exit = yield* Effect.exit(spend(caller, tokens))
          if (Exit.isSuccess(exit)) admitted.push([time, tokens])
          else {
            const error = Cause.findErrorOption(exit.cause)
            if (error._tag === "None") return assert.fail("a defect")
            if (error.value.reason._tag === "NeverFits") assert.isAbove(tokens, 100)
            else {
              yield* TestClock.adjust(Math.ceil(error.value.reason.retryAfterMs))
              time += Math.ceil(error.value.reason.retryAfterMs)
              yield* spend(caller, tokens)
              admitted.push([time, tokens])
            }
          }
        }
        // In every interval: at most the limit and what was refilled in it.
        for (let from = 0; from < admitted.length; from++) {
          let sum = 0
          for (let to = from; to < admitted.length; to++) {
            sum += admitted[to]?.[1] ?? 0
            const elapsed = (admitted[to]?.[0] ?? 0) - (admitted[from]?.[0] ?? 0)
            assert.isAtMost(sum, 100 + (elapsed * 100) / 60_000 + 0.01)
          }
        }
      }).pipe(Effect.provide(Layer.fresh(layer(limits({ user: { tokensPerMinute: 100 } })))))
    )
  })
}
