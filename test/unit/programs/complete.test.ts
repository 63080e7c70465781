/** The life of a chat request: what DESIGN promises about deadlines, retries and records. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Layer, Random, Result, Schema, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as Caller from "../../../src/domain/caller.ts"
import type { CompleteError, ProviderReason } from "../../../src/domain/errors.ts"
import * as Usage from "../../../src/domain/usage.ts"
import { collect } from "../../../src/programs/collect.ts"
import { complete } from "../../../src/programs/complete.ts"
import { Bulkhead } from "../../../src/services/bulkhead.ts"
import type { BulkheadRequest } from "../../../src/services/bulkhead.ts"
import { CurrentCaller } from "../../../src/services/caller.ts"
import { CircuitBreaker } from "../../../src/services/circuit-breaker.ts"
import { Deadline, none } from "../../../src/services/deadline.ts"
import { KillSwitch } from "../../../src/services/kill-switch.ts"
import {
  balanced,
  chat,
  chunk,
  configOf,
  fail,
  make,
  overloaded,
  richRetries,
  streaming,
  timed,
  turns,
  whole
} from "../../support/scripted-ballast.ts"

/** The whole answer to one request. */
const ask = (more: Parameters<typeof chat>[0] = {}) => Effect.scoped(Effect.flatMap(complete(chat(more)), collect))

const errorOf = <A>(exit: Exit.Exit<A, CompleteError>): CompleteError => {
  const found = Exit.isFailure(exit) ? Cause.findError(exit.cause) : undefined
  return found !== undefined && Result.isSuccess(found) ? found.success : assert.fail(`no error: ${String(exit)}`)
}

/** All places of provider `one` are taken for `ms`. */
const occupied = (ms: number) =>
  Effect.gen(function* () {
    const bulkhead = yield* Bulkhead
    const { limit } = yield* bulkhead.state("one")
    const place: BulkheadRequest = {
      key: "one",
      tenant: "other",
      tokens: 1,
      plan: "standard",
      priority: "critical",
      streamed: true,
      deadline: none
    }
    yield* Effect.forkChild(
      Effect.scoped(
        Effect.andThen(
          Effect.forEach(Array.from({ length: limit }), () => bulkhead.acquire(place)),
          Effect.sleep(ms)
        )
      ),
      { startImmediately: true }
    )
  })

/** How and when it ends, within `byMs`. */
const ends = (effect: ReturnType<typeof ask>, byMs = 20_000) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(timed(effect))
    yield* TestClock.adjust(byMs)
    return yield* Fiber.join(fiber)
  })

describe("complete", () => {
  it.effect("answers, settles what was used, and records it", () => {
    const { layer, world } = make({ open: (call) => Effect.delay(whole(call), 250) })
    return Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(ask({ max_tokens: 50 }))
      yield* TestClock.adjust(300)
      const answer = yield* Fiber.join(fiber)
      assert.strictEqual(answer.choices[0]?.message["content"], "Deep.")
      const [record] = world.ended
      assert.deepStrictEqual(
        {
          outcome: record?.outcome,
          model: record?.model,
          candidate: record?.candidate,
          admittedAt: record?.admittedAt,
          openedAt: record?.openedAt,
          usage: record?.usage,
          exact: record?.usageExact,
          // 100 tokens in at 1, 20 out at 2 micro-dollars.
          cost: record?.cost
        },
        {
          outcome: "ok",
          model: "duo",
          candidate: { provider: "one", model: "m1" },
          admittedAt: 0,
          openedAt: 250,
          usage: Usage.make(100, 20),
          exact: true,
          cost: 140
        }
      )
      assert.strictEqual(world.charges[0]?.tokens, (record?.estimatedInput ?? 0) + 50)
      assert.deepStrictEqual(world.charges[0]?.settled, [120])
      assert.deepStrictEqual(world.verdicts, ["one/m1: succeed 250"])
      assert.strictEqual(world.budget.deposits, 1)
      yield* balanced(world)
    }).pipe(Effect.provide(layer))
  })

  it.effect("asks the provider as the caller did: the chat, its text, and until when", () => {
    const { layer, world } = make({ open: whole })
    return Effect.gen(function* () {
      const request = chat({ temperature: 0.5 })
      yield* Effect.scoped(complete(request, "the text"))
      const sent = world.calls[0]?.request
      if (sent === undefined || !("chat" in sent)) return assert.fail("no call")
      assert.strictEqual(sent.chat, request)
      assert.strictEqual(sent.body, "the text")
      assert.isTrue(sent.includeUsage)
      assert.strictEqual(sent.deadlineMs, 8_000)
    }).pipe(Effect.provide(layer))
  })
})

describe("promise 2: one deadline", () => {
  const hang = make({ open: () => Effect.never })

  it.effect("8 s for queue, retries and fallbacks together", () =>
    Effect.gen(function* () {
      // 3 s in the queue; the first call fails after 1 s, its retry waits 2 s, the last one hangs.
      const { layer, world } = make({
        open: (call) => (call.n === 1 ? Effect.delay(fail(call, overloaded(2_000)), 1_000) : Effect.never)
      })
      yield* Effect.gen(function* () {
        yield* occupied(3_000)
        const { at, exit } = yield* ends(ask())
        const error = errorOf(exit)
        assert.strictEqual(error._tag, "DeadlineError")
        assert.deepStrictEqual(error.reason, { _tag: "Exceeded", stage: "provider", budgetMs: 8_000 })
        assert.isAtLeast(at, 8_000)
        assert.isAtMost(at, 8_010)
        assert.strictEqual(world.calls.length, 2)
        assert.strictEqual(world.calls[0]?.at, 3_000)
        assert.strictEqual(world.ended[0]?.endedAt, at)
        yield* balanced(world)
      }).pipe(Effect.provide(layer))
    })
  )

  it.effect("1.5 s for callers that are not critical", () =>
    Effect.gen(function* () {
      const caller = Caller.make("acme", { critical: false })
      const { at, exit } = yield* ends(Effect.provideService(ask(), CurrentCaller, caller))
      assert.deepStrictEqual(errorOf(exit).reason, { _tag: "Exceeded", stage: "provider", budgetMs: 1_500 })
      assert.isAtLeast(at, 1_500)
      assert.isAtMost(at, 1_510)
    }).pipe(Effect.provide(hang.layer))
  )

  it.effect("an embedding program's own deadline counts where it is earlier, and never extends", () =>
    Effect.gen(function* () {
      const early = yield* ends(Effect.provideService(ask(), Deadline, { atMs: 700, budgetMs: 700 }))
      assert.deepStrictEqual(errorOf(early.exit).reason, { _tag: "Exceeded", stage: "provider", budgetMs: 700 })
      assert.isAtMost(early.at, 710)
      const started = 20_000
      const late = yield* ends(Effect.provideService(ask(), Deadline, { atMs: 1e9, budgetMs: 1e9 }))
      assert.isAtLeast(late.at, started + 8_000)
      assert.isAtMost(late.at, started + 8_010)
    }).pipe(Effect.provide(hang.layer))
  )

  it.effect("work that cannot finish in time is not started", () => {
    const { layer, world } = make({ open: whole }, configOf({ bulkhead: { maxWaitMs: 60_000 } }))
    return Effect.gen(function* () {
      yield* TestClock.adjust(1_000)
      const late = yield* Effect.exit(Effect.provideService(ask(), Deadline, { atMs: 900, budgetMs: 100 }))
      assert.strictEqual(errorOf(late)._tag, "DeadlineError")
      assert.deepStrictEqual(world.ended[0]?.attempts, [])
      // In the queue until the deadline.
      yield* occupied(30_000)
      const { at, exit } = yield* ends(ask())
      assert.deepStrictEqual(errorOf(exit).reason, { _tag: "Exceeded", stage: "queue", budgetMs: 8_000 })
      assert.isAtMost(at, 9_010)
      assert.deepStrictEqual(world.calls, [])
      assert.isTrue(world.charges.every(({ released, settled }) => released && settled.length === 0))
      yield* TestClock.adjust(30_000)
      yield* balanced(world)
    }).pipe(Effect.provide(layer))
  })

  it.effect("a hung finalizer of the provider does not hold the caller's error back", () => {
    const { layer } = make({
      open: () => Effect.onInterrupt(Effect.never, () => Effect.sleep(60_000))
    })
    return Effect.gen(function* () {
      const { at, exit } = yield* ends(ask())
      assert.strictEqual(errorOf(exit)._tag, "DeadlineError")
      assert.isAtMost(at, 8_010)
    }).pipe(Effect.provide(layer))
  })
})

describe("promise 3: one retry budget", () => {
  it.effect("at most 2 retries at a candidate", () => {
    const { layer, world } = make(
      { open: (call) => fail(call, overloaded()) },
      configOf({ retry: { ...richRetries, baseMs: 1, capMs: 1 } })
    )
    return Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(Effect.exit(ask()))
      yield* TestClock.adjust(8_000)
      assert.strictEqual(errorOf(yield* Fiber.join(fiber)).reason._tag, "Overloaded")
      assert.deepStrictEqual(
        world.calls.map(({ candidate }) => candidate.provider),
        ["one", "one", "one", "two", "two", "two"]
      )
      assert.deepStrictEqual(
        world.ended[0]?.attempts.map(({ retry }) => retry),
        [0, 1, 2, 0, 1, 2]
      )
      yield* balanced(world)
    }).pipe(Effect.provide(layer))
  })

  it.effect("when the budget is spent the first failure surfaces", () => {
    const { layer, world } = make(
      { open: (call) => fail(call, { _tag: "ServerError", detail: `failure ${call.n}`, status: 500 }) },
      configOf({ retry: { budgetMax: 0 } })
    )
    return Effect.gen(function* () {
      const error = yield* Effect.flip(ask())
      assert.deepInclude(error.reason, { _tag: "ServerError", detail: "failure 1" })
      assert.strictEqual(world.calls.length, 1)
      yield* balanced(world)
    }).pipe(Effect.provide(layer))
  })

  it.effect("at most 1.15 attempts for a request in an outage, and the calls stop when it is over", () => {
    let down = true
    const { layer, world } = make(
      { open: (call) => (down ? fail(call, overloaded()) : whole(call)) },
      configOf({ breaker: { minimumCalls: 1_000_000 }, rateLimits: { global: { requestsPerMinute: null } } })
    )
    return Effect.gen(function* () {
      const count = 400
      for (let i = 0; i < count; i++) {
        yield* Effect.forkChild(Effect.exit(ask()))
        yield* TestClock.adjust(20)
      }
      yield* TestClock.adjust(10_000)
      assert.strictEqual(world.ended.length, count)
      assert.isAtMost(world.calls.length, count * 1.15)
      down = false
      const before = world.calls.length
      for (let i = 0; i < 50; i++) yield* ask()
      assert.strictEqual(world.calls.length, before + 50)
      yield* balanced(world)
    }).pipe(Effect.provide(layer))
  })

  it.effect("a fallback after a local refusal draws nothing", () => {
    const { layer, world } = make({ open: whole }, configOf({ bulkhead: { maxInFlight: 1, maxQueue: 0 } }))
    return Effect.gen(function* () {
      const breaker = yield* CircuitBreaker
      const killSwitch = yield* KillSwitch
      yield* breaker.trip("one/m1", 1_000)
      yield* ask()
      yield* breaker.reset("one/m1")
      yield* killSwitch.off("provider", "one")
      yield* ask()
      yield* killSwitch.on("provider", "one")
      yield* occupied(1_000)
      yield* ask()
      assert.deepStrictEqual(
        world.calls.map(({ candidate }) => candidate.provider),
        ["two", "two", "two"]
      )
      assert.deepStrictEqual(
        world.ended.map(({ attempts }) =>
          attempts.map(({ called, outcome }) => (called ? `called ${outcome}` : outcome))
        ),
        [
          ["CircuitBreakerError.Open", "called ok"],
          ["KillSwitchError.Off", "called ok"],
          ["BulkheadError.QueueFull", "called ok"]
        ]
      )
      assert.strictEqual(world.budget.drawn, 0)
      assert.isTrue(world.verdicts.every((verdict) => verdict.startsWith("two/m2: succeed")))
    }).pipe(Effect.provide(layer))
  })

  it.effect("a fallback after a call that failed draws one", () => {
    const { layer, world } = make({
      open: (call) => (call.n === 1 ? fail(call, { _tag: "QuotaExhausted", detail: "no money" }) : whole(call))
    })
    return Effect.gen(function* () {
      yield* ask()
      assert.strictEqual(world.budget.drawn, 1)
      yield* balanced(world)
    }).pipe(Effect.provide(layer))
  })
})

describe("promise 4: Retry-After is law", () => {
  it.effect.prop(
    "never earlier than asked, jitter on top",
    [Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 3_000 }))],
    ([retryAfterMs]) => {
      const { layer, world } = make({
        open: (call) => (call.n < 3 ? fail(call, overloaded(retryAfterMs)) : whole(call))
      })
      return Effect.gen(function* () {
        const fiber = yield* Effect.forkChild(ask({ model: "solo" }))
        yield* TestClock.adjust(8_000)
        yield* Fiber.join(fiber)
        const [first, second, third] = world.calls.map(({ at }) => at)
        const pauses = [second! - first!, third! - second!]
        for (const [retry, pause] of pauses.entries()) {
          assert.isAtLeast(pause, retryAfterMs)
          assert.isAtMost(pause, retryAfterMs + Math.max(100 * 2 ** retry, 0.2 * retryAfterMs) + 1)
        }
      }).pipe(Effect.provide(Layer.fresh(layer)))
    },
    { arbitrary: { runs: 30 } }
  )

  it.effect("longer than what is left: the next candidate at once", () => {
    const { layer, world } = make({
      open: (call) => (call.n === 1 ? Effect.delay(fail(call, overloaded(7_500)), 1_000) : whole(call))
    })
    return Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(timed(ask()))
      yield* TestClock.adjust(10_000)
      const { at, exit } = yield* Fiber.join(fiber)
      assert.isTrue(Exit.isSuccess(exit))
      assert.strictEqual(at, 1_000)
      assert.deepStrictEqual(
        world.calls.map(({ candidate }) => candidate.provider),
        ["one", "two"]
      )
    }).pipe(Effect.provide(layer))
  })

  it.effect("longer than what is left and no other candidate: fail now, and say when", () => {
    const { layer, world } = make({ open: (call) => Effect.delay(fail(call, overloaded(7_500)), 1_000) })
    return Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(timed(ask({ model: "solo" })))
      yield* TestClock.adjust(10_000)
      const { at, exit } = yield* Fiber.join(fiber)
      assert.deepInclude(errorOf(exit).reason, { _tag: "Overloaded", retryAfterMs: 7_500 })
      assert.strictEqual(at, 1_000)
      assert.deepStrictEqual(world.verdicts, ["one/m1: fail 7500"])
      yield* balanced(world)
    }).pipe(Effect.provide(layer))
  })
})

describe("the commit point", () => {
  const cut: ProviderReason = { _tag: "Truncated", detail: "cut" }

  it.effect("after it nothing is retried: the stream fails as it failed", () => {
    const { layer, world } = make({
      open: (call) => streaming(call, "De", Stream.concat(Stream.make(chunk("ep")), Stream.fromEffect(fail(call, cut))))
    })
    return Effect.gen(function* () {
      const error = yield* Effect.flip(ask({ stream: true }))
      assert.deepStrictEqual(error.reason, cut)
      assert.strictEqual(world.calls.length, 1)
      assert.strictEqual(world.budget.drawn, 0)
      assert.deepStrictEqual(world.verdicts, ["one/m1: succeed 0", "one/m1: fail"])
      assert.strictEqual(world.ended[0]?.outcome, "ProviderError.Truncated")
      assert.strictEqual(world.ended[0]?.attempts[0]?.outcome, "ProviderError.Truncated")
      yield* balanced(world)
    }).pipe(Effect.provide(layer))
  })

  it.effect("before it everything may be", () => {
    const { layer, world } = make({ open: (call) => (call.n === 1 ? fail(call, cut) : whole(call)) })
    return Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(ask({ stream: true }))
      yield* TestClock.adjust(200)
      yield* Fiber.join(fiber)
      assert.strictEqual(world.calls.length, 2)
      assert.deepStrictEqual(world.verdicts, ["one/m1: fail", "one/m1: succeed 0"])
    }).pipe(Effect.provide(layer))
  })
})

describe("a scope of the caller's own", () => {
  it.effect("a request that fails in a long-lived scope gives everything back at once", () => {
    const { layer, world } = make({ open: (call) => fail(call, { _tag: "BadRequest", detail: "no" }) })
    return Effect.gen(function* () {
      const scope = yield* Scope.make()
      for (let i = 0; i < 20; i++) yield* Effect.exit(Scope.provide(complete(chat()), scope))
      assert.strictEqual(world.calls.length, 20)
      yield* balanced(world, "before the scope closes")
      yield* Scope.close(scope, Exit.void)
      yield* balanced(world)
    }).pipe(Effect.provide(layer))
  })

  it.effect("a request that succeeds holds its place and its connection until the scope closes", () => {
    const { layer, world } = make({ open: (call) => streaming(call, "De", Stream.make(chunk("ep"))) })
    return Effect.gen(function* () {
      const bulkhead = yield* Bulkhead
      const scope = yield* Scope.make()
      const completion = yield* Scope.provide(complete(chat({ stream: true })), scope)
      yield* collect(completion)
      assert.strictEqual((yield* bulkhead.state("one")).inFlight, 1)
      assert.strictEqual(world.calls[0]?.closed, 0)
      assert.strictEqual(world.ended.length, 0)
      yield* Scope.close(scope, Exit.void)
      yield* balanced(world)
      assert.strictEqual(world.ended[0]?.outcome, "ok")
    }).pipe(Effect.provide(layer))
  })

  it.effect("a failed try gives its place back before the next one begins", () => {
    const { layer, world } = make(
      { open: (call) => (call.n < 3 ? fail(call, overloaded(100)) : whole(call)) },
      configOf({ bulkhead: { maxInFlight: 1, maxQueue: 0 }, retry: richRetries })
    )
    return Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(ask({ model: "solo" }))
      yield* TestClock.adjust(50)
      assert.strictEqual(world.calls[0]?.closed, 1)
      assert.strictEqual((yield* (yield* Bulkhead).state("one")).inFlight, 0)
      yield* TestClock.adjust(2_000)
      yield* Fiber.join(fiber)
      assert.strictEqual(world.calls.length, 3)
    }).pipe(Effect.provide(layer))
  })
})

describe("records", () => {
  const refusals: ReadonlyArray<
    readonly [
      outcome: string,
      prepare: Effect.Effect<unknown, never, Bulkhead | CircuitBreaker | KillSwitch>,
      more?: object
    ]
  > = [
    ["KillSwitchError.Off", Effect.flatMap(KillSwitch, (levers) => levers.off("all", ""))],
    ["RequestError.UnknownModel", Effect.void, { model: "nobody" }],
    ["RequestError.WrongKind", Effect.void, { model: "vectors" }],
    ["RequestError.ContextTooLong", Effect.void, { max_tokens: 1_000_000 }],
    ["CircuitBreakerError.Open", Effect.flatMap(CircuitBreaker, (breaker) => breaker.trip("one/m1", 1_000))],
    ["BulkheadError.QueueFull", occupied(1_000)]
  ]
  for (const [outcome, prepare, more] of refusals) {
    it.effect(`${outcome}: refused without a call`, () => {
      const { layer, world } = make({ open: whole }, configOf({ bulkhead: { maxInFlight: 1, maxQueue: 0 } }))
      return Effect.gen(function* () {
        yield* prepare
        const error = yield* Effect.flip(ask({ model: "solo", ...more }))
        assert.strictEqual(`${error._tag}.${error.reason._tag}`, outcome)
        assert.strictEqual(error.requestId, world.ended[0]?.id)
        assert.strictEqual(world.ended[0]?.outcome, outcome)
        assert.strictEqual(world.calls.length, 0)
        yield* TestClock.adjust(2_000)
        yield* balanced(world)
      }).pipe(Effect.provide(layer))
    })
  }

  it.effect("RateLimitError.Exceeded and NeverFits: refused without a call or a charge", () => {
    const { layer, world } = make(
      { open: whole },
      configOf({ rateLimits: { tenant: { requestsPerMinute: 1, tokensPerMinute: 1_000 } } })
    )
    return Effect.gen(function* () {
      const big = yield* Effect.flip(ask({ max_tokens: 2_000 }))
      assert.strictEqual(big.reason._tag, "NeverFits")
      yield* ask({ max_tokens: 10 })
      const second = yield* Effect.flip(ask({ max_tokens: 10 }))
      assert.strictEqual(second.reason._tag, "Exceeded")
      assert.deepStrictEqual(
        world.ended.map(({ outcome }) => outcome),
        ["RateLimitError.NeverFits", "ok", "RateLimitError.Exceeded"]
      )
      assert.strictEqual(world.calls.length, 1)
    }).pipe(Effect.provide(layer))
  })

  const failures: ReadonlyArray<ProviderReason> = [
    { _tag: "RateLimited", detail: "x" },
    { _tag: "QuotaExhausted", detail: "x" },
    { _tag: "Overloaded", detail: "x" },
    { _tag: "ServerError", detail: "x" },
    { _tag: "BadRequest", detail: "x" },
    { _tag: "Authentication", detail: "x" },
    { _tag: "PermissionDenied", detail: "x" },
    { _tag: "NotFound", detail: "x" },
    { _tag: "TooLarge", detail: "x" },
    { _tag: "Unreachable", detail: "x" },
    { _tag: "Timeout", phase: "connect", afterMs: 2_000 },
    { _tag: "Truncated", detail: "x" },
    { _tag: "BrokenFrame", detail: "x" },
    { _tag: "BadResponse", detail: "x" },
    { _tag: "StreamError", detail: "x" }
  ]
  for (const reason of failures) {
    it.effect(`ProviderError.${reason._tag}: before the first token and after it`, () => {
      const { layer, world } = make(
        {
          open: (call) =>
            call.n === 1 ? fail(call, reason) : streaming(call, "De", Stream.fromEffect(fail(call, reason)))
        },
        configOf({ retry: { maxRetries: 0 } })
      )
      return Effect.gen(function* () {
        assert.deepStrictEqual((yield* Effect.flip(ask({ model: "solo" }))).reason, reason)
        assert.deepStrictEqual((yield* Effect.flip(ask({ model: "solo" }))).reason, reason)
        assert.deepStrictEqual(
          world.ended.map(({ attempts, outcome }) => [outcome, ...attempts.map((attempt) => attempt.outcome)]),
          [
            [`ProviderError.${reason._tag}`, `ProviderError.${reason._tag}`],
            [`ProviderError.${reason._tag}`, `ProviderError.${reason._tag}`]
          ]
        )
        // Before it nothing was used; after it, what was sent so far.
        assert.deepStrictEqual(
          world.charges.map(({ settled }) => settled.length),
          [0, 1]
        )
        yield* balanced(world)
      }).pipe(Effect.provide(layer))
    })
  }

  it.effect("a defect is a defect, and everything is back", () => {
    const { layer, world } = make({ open: () => Effect.die("a bug") })
    return Effect.gen(function* () {
      const exit = yield* Effect.exit(ask())
      assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
      assert.strictEqual(world.ended[0]?.outcome, "defect")
      assert.strictEqual(world.ended[0]?.attempts[0]?.outcome, "defect")
      yield* balanced(world)
    }).pipe(Effect.provide(layer))
  })

  it.effect("a caller that leaves is cancelled, before the first token and after it", () => {
    const { layer, world } = make({
      open: (call) => (call.n === 1 ? Effect.never : streaming(call, "De", Stream.never))
    })
    return Effect.gen(function* () {
      for (let i = 0; i < 2; i++) {
        const fiber = yield* Effect.forkChild(ask({ stream: true }))
        yield* turns(5)
        yield* Fiber.interrupt(fiber)
      }
      assert.deepStrictEqual(
        world.ended.map(({ attempts, outcome }) => [outcome, attempts[0]?.outcome]),
        [
          ["cancelled", "cancelled"],
          ["cancelled", "cancelled"]
        ]
      )
      assert.strictEqual(world.verdicts.length, 1)
      yield* balanced(world)
    }).pipe(Effect.provide(layer))
  })

  it.effect("every request has an id of its own", () => {
    const { layer, world } = make({ open: whole })
    return Effect.gen(function* () {
      for (let i = 0; i < 50; i++) yield* ask()
      assert.strictEqual(new Set(world.ended.map(({ id }) => id)).size, 50)
      assert.isTrue(world.ended.every(({ id }) => /^req_[0-9a-f]{21,24}$/.test(id)))
    }).pipe(Effect.provide(layer), Random.withSeed("ids"))
  })
})
