/** A late first token is asked for once more: who wins, what it costs, who may say no, and what is left of the loser. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Stream } from "effect"
import type { Scope } from "effect"
import { TestClock } from "effect/testing"
import type { ChatRequest } from "../../../src/domain/chat.ts"
import type { ProviderReason } from "../../../src/domain/errors.ts"
import * as Usage from "../../../src/domain/usage.ts"
import { collect } from "../../../src/programs/collect.ts"
import { complete } from "../../../src/programs/complete.ts"
import type { Guards } from "../../../src/programs/guards.ts"
import { Bulkhead } from "../../../src/services/bulkhead.ts"
import type { BulkheadPermit } from "../../../src/services/bulkhead.ts"
import * as BulkheadPort from "../../../src/services/bulkhead.ts"
import { CircuitBreaker } from "../../../src/services/circuit-breaker.ts"
import { none } from "../../../src/services/deadline.ts"
import { KillSwitch } from "../../../src/services/kill-switch.ts"
import { RetryBudget } from "../../../src/services/retry-budget.ts"
import * as Hedging from "../../support/hedging.ts"
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
  turns
} from "../../support/scripted-ballast.ts"
import type { Call, Script } from "../../support/scripted-ballast.ts"

/** What the n-th call does: after so many ms it begins its stream, or fails for a reason. */
type Plan = readonly [ms: number, reason?: ProviderReason]

/** A stream of `n: ` and two words, with its usage, 20 ms a chunk. */
const words = (call: Call) =>
  streaming(
    call,
    `${call.n}:`,
    Stream.fromIterable([" deep", " enough"]).pipe(
      Stream.mapEffect((text) => Effect.delay(Effect.succeed(chunk(text)), 20)),
      Stream.concat(Stream.succeed(chunk(Usage.make(100, 20))))
    )
  )

const scripted =
  (plans: ReadonlyArray<Plan>): NonNullable<Script["open"]> =>
  (call) => {
    const [ms, reason] = plans[call.n - 1] ?? [Infinity]
    if (ms === Infinity) return Effect.never
    const end = reason === undefined ? words(call) : fail(call, reason)
    return ms === 0 ? end : Effect.delay(end, ms)
  }

const server: ProviderReason = { _tag: "ServerError", detail: "x" }
const delayMs = 100

interface Options {
  readonly hedging?: ReturnType<typeof Hedging.fixed>
  readonly policies?: Parameters<typeof configOf>[0]
}

/** Ballast whose calls follow `plans` and are late after 100 ms. */
const world = (plans: ReadonlyArray<Plan>, { hedging = Hedging.fixed(delayMs), policies }: Options = {}) => {
  const made = make({ open: scripted(plans) }, configOf({ retry: richRetries, ...policies }))
  return { world: made.world, log: hedging.log, layer: Layer.merge(made.layer, hedging.layer) }
}

const streamed = (more: Partial<ChatRequest> = {}) => chat({ model: "solo", stream: true, ...more })

/** A streamed request, read to its end; its text, or its error. */
const read = (request = streamed()) =>
  Effect.map(Effect.scoped(Effect.flatMap(complete(request), collect)), ({ choices }) => choices[0]?.message["content"])

/** Run it in the background while time goes by, ten ms at a time: hedges then start and end at the moments they name. */
const during = <A, E, R>(self: Effect.Effect<A, E, R>, forMs = 10_000) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(timed(self))
    yield* turns(3)
    for (let ms = 0; ms < forMs && fiber.pollUnsafe() === undefined; ms += 10) yield* TestClock.adjust(10)
    return yield* Fiber.join(fiber)
  })

const attempts = ({ world: { ended } }: ReturnType<typeof world>) =>
  ended[0]?.attempts.map(({ candidate, hedge, outcome }) => [candidate.provider, hedge ? "hedge" : "first", outcome])

/** A test over one world; nothing may be held when it has ended. */
const test = <E>(title: string, made: ReturnType<typeof world>, body: Effect.Effect<void, E, Guards | Scope.Scope>) =>
  it.effect(title, () => Effect.andThen(body, balanced(made.world)).pipe(Effect.provide(made.layer)))

/** The only call that was made answers after 500 ms, as if there were no hedging. */
const unhedged = (
  title: string,
  made: ReturnType<typeof world>,
  prepare: Effect.Effect<void, never, Guards | Scope.Scope> = Effect.void,
  request = streamed()
) =>
  test(
    title,
    made,
    Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(during(read(request)))
      yield* turns(5)
      yield* prepare
      const { at, exit } = yield* Fiber.join(fiber)
      assert.deepStrictEqual(exit, Exit.succeed("1: deep enough"))
      assert.strictEqual(at, 540)
      assert.strictEqual(made.world.calls.length, 1)
      assert.deepStrictEqual(attempts(made), [["one", "first", "ok"]])
      assert.strictEqual(
        made.log.spent.reduce((sum, tokens) => sum + tokens, 0),
        0
      )
      assert.strictEqual(made.world.ended[0]?.extraTokens, 0)
      assert.deepStrictEqual(made.world.verdicts, ["one/m1: succeed 500"])
    })
  )

const hold = (key: string) =>
  Effect.flatMap(Bulkhead, (bulkhead) =>
    bulkhead.acquire({
      key,
      tenant: "other",
      plan: "standard",
      tokens: 1,
      priority: "critical",
      streamed: true,
      deadline: none
    })
  )

describe("who answers", () => {
  const hedgeWins = world([[1_000], [50]])
  test(
    "the second call, where it is faster",
    hedgeWins,
    Effect.gen(function* () {
      const { at, exit } = yield* during(read())
      assert.deepStrictEqual(exit, Exit.succeed("2: deep enough"))
      assert.strictEqual(at, 190)
      const [first, second] = hedgeWins.world.calls
      assert.strictEqual(second?.at, 100)
      assert.strictEqual(first?.closedAt, 150, "the loser is ended at once")
      assert.deepStrictEqual(attempts(hedgeWins), [
        ["one", "first", "cancelled"],
        ["one", "hedge", "ok"]
      ])
      assert.deepStrictEqual(hedgeWins.world.verdicts, ["one/m1: succeed 50"], "the breaker hears of the winner alone")
      assert.deepStrictEqual(hedgeWins.log.observed, ["one/m1: 150 censored late", "one/m1: 50"])
    })
  )

  const firstWins = world([[300], [1_000]])
  test(
    "the first call, where it is faster after all",
    firstWins,
    Effect.gen(function* () {
      const { at, exit } = yield* during(read())
      assert.deepStrictEqual(exit, Exit.succeed("1: deep enough"))
      assert.strictEqual(at, 340)
      assert.strictEqual(firstWins.world.calls[1]?.closedAt, 300)
      assert.deepStrictEqual(attempts(firstWins), [
        ["one", "first", "ok"],
        ["one", "hedge", "cancelled"]
      ])
      assert.deepStrictEqual(firstWins.world.verdicts, ["one/m1: succeed 300"])
      assert.deepStrictEqual(firstWins.log.observed, ["one/m1: 200 censored", "one/m1: 300 late"])
    })
  )

  const both = world([[150], [50]])
  test(
    "one of them alone, where both answer at the same moment",
    both,
    Effect.gen(function* () {
      const { at, exit } = yield* during(read())
      assert.isTrue(Exit.isSuccess(exit))
      assert.strictEqual(at, 190)
      assert.deepStrictEqual(
        attempts(both)
          ?.map(([, , outcome]) => outcome)
          .toSorted(),
        ["cancelled", "ok"]
      )
      assert.strictEqual(both.world.verdicts.length, 1)
      assert.strictEqual(both.log.earned.length, 1)
    })
  )

  const atOnce = world([[1_000], [0]])
  test(
    "the second call, where it answers without a pause",
    atOnce,
    Effect.gen(function* () {
      const { at, exit } = yield* during(read())
      assert.deepStrictEqual(exit, Exit.succeed("2: deep enough"))
      assert.strictEqual(at, 140)
    })
  )

  const queued = world([[1_000], [50]], { policies: { bulkhead: { maxInFlight: 2 } } })
  test(
    "late is counted from the call, not from the queue before it",
    queued,
    Effect.gen(function* () {
      for (const ms of [3_000, 3_010]) {
        yield* Effect.forkChild(Effect.scoped(Effect.andThen(hold("one"), Effect.sleep(ms))), {
          startImmediately: true
        })
      }
      const { at } = yield* during(read())
      assert.strictEqual(queued.world.calls[0]?.at, 3_000)
      assert.strictEqual(queued.world.calls[1]?.at, 3_100)
      assert.strictEqual(at, 3_190)
      assert.deepStrictEqual(queued.log.leftMs, [8_000 - 3_100])
    })
  )
})

describe("where a call fails", () => {
  const firstFails = world([[150, server], [200]])
  test(
    "the first: the second still answers, and nothing is retried",
    firstFails,
    Effect.gen(function* () {
      const { at, exit } = yield* during(read())
      assert.deepStrictEqual(exit, Exit.succeed("2: deep enough"))
      assert.strictEqual(at, 340)
      assert.strictEqual(firstFails.world.calls.length, 2)
      assert.strictEqual(firstFails.world.calls[0]?.closedAt, 150, "it gives back what it holds when it fails")
      assert.deepStrictEqual(firstFails.world.verdicts, ["one/m1: fail", "one/m1: succeed 200"])
      assert.deepStrictEqual(attempts(firstFails), [
        ["one", "first", "ProviderError.ServerError"],
        ["one", "hedge", "ok"]
      ])
      assert.strictEqual(firstFails.world.budget.drawn, 1)
      assert.strictEqual(firstFails.world.ended[0]?.extraTokens, 0, "a call that failed is not billed")
    })
  )

  const secondFails = world([[500], [50, overloaded()]])
  test(
    "the second: nothing has happened to the first",
    secondFails,
    Effect.gen(function* () {
      const { at, exit } = yield* during(read())
      assert.deepStrictEqual(exit, Exit.succeed("1: deep enough"))
      assert.strictEqual(at, 540)
      assert.strictEqual(secondFails.world.calls[1]?.closedAt, 150)
      assert.deepStrictEqual(secondFails.world.verdicts, ["one/m1: fail", "one/m1: succeed 500"])
      assert.strictEqual(secondFails.world.calls.length, 2)
      assert.strictEqual(secondFails.world.budget.drawn, 1)
    })
  )

  for (const [title, plans] of [
    ["the first first", [[150, server], [100, overloaded()], [10]]],
    ["the second first", [[250, server], [100, overloaded()], [10]]]
  ] as const) {
    const bothFail = world(plans, { policies: { retry: { ...richRetries, baseMs: 1, capMs: 1 } } })
    test(
      `both, ${title}: the first one's failure is retried as usual, and the retry draws again`,
      bothFail,
      Effect.gen(function* () {
        const { exit } = yield* during(read())
        assert.deepStrictEqual(exit, Exit.succeed("3: deep enough"))
        assert.deepStrictEqual(attempts(bothFail), [
          ["one", "first", "ProviderError.ServerError"],
          ["one", "hedge", "ProviderError.Overloaded"],
          ["one", "first", "ok"]
        ])
        assert.deepStrictEqual(
          bothFail.world.ended[0]?.attempts.map(({ retry }) => retry),
          [0, 0, 1]
        )
        assert.strictEqual(bothFail.world.budget.drawn, 2)
      })
    )
  }

  const noRetries = world(
    [
      [150, server],
      [100, { _tag: "BadRequest", detail: "y" }]
    ],
    {
      policies: { retry: { ...richRetries, maxRetries: 0 } }
    }
  )
  test(
    "both, and nothing is retried: the caller gets the first one's failure",
    noRetries,
    Effect.gen(function* () {
      const { at, exit } = yield* during(Effect.flip(read()))
      assert.strictEqual(at, 200)
      assert.deepStrictEqual(Exit.isSuccess(exit) ? exit.value.reason : undefined, server)
    })
  )

  for (const [title, plans] of [
    ["first", [[120, overloaded()], [30, { _tag: "RateLimited", detail: "z", retryAfterMs: 2_000 }], [10]]],
    ["last", [[200, overloaded()], [30, { _tag: "RateLimited", detail: "z", retryAfterMs: 2_000 }], [10]]]
  ] as const) {
    const patient = world(plans, { policies: { retry: { ...richRetries, baseMs: 1, capMs: 1 } } })
    test(
      `both, the ${title === "first" ? "second" : "first"} last: a retry waits as long as either was asked to`,
      patient,
      Effect.gen(function* () {
        yield* during(read())
        assert.isAtLeast(patient.world.calls[2]?.at ?? 0, 2_130)
      })
    )
  }

  const early = world([[50, server], [50]], { policies: { retry: { ...richRetries, baseMs: 1, capMs: 1 } } })
  test(
    "the first before it is late: there is no second, but a retry",
    early,
    Effect.gen(function* () {
      const { exit } = yield* during(read())
      assert.deepStrictEqual(exit, Exit.succeed("2: deep enough"))
      assert.deepStrictEqual(early.log.late, [])
      assert.deepStrictEqual(attempts(early), [
        ["one", "first", "ProviderError.ServerError"],
        ["one", "first", "ok"]
      ])
    })
  )

  const again = world([[150, server], [100, server], [1_000], [50]], {
    policies: { retry: { ...richRetries, baseMs: 1, capMs: 1 } }
  })
  test(
    "a retry is hedged like any other try",
    again,
    Effect.gen(function* () {
      const { exit } = yield* during(read())
      assert.deepStrictEqual(exit, Exit.succeed("4: deep enough"))
      assert.deepStrictEqual(
        again.world.ended[0]?.attempts.map(({ hedge, retry }) => [hedge, retry]),
        [
          [false, 0],
          [true, 0],
          [false, 1],
          [true, 1]
        ]
      )
    })
  )
})

describe("who may say no: then nothing has happened", () => {
  unhedged("hedging knows no delay", world([[500], [0]], { hedging: Hedging.fixed(undefined) }))

  unhedged(
    "too many are late, or too little time is left",
    world([[500], [0]], { hedging: Hedging.fixed(delayMs, { worth: false }) })
  )

  unhedged("the cost cap", world([[500], [0]], { hedging: Hedging.fixed(delayMs, { affordable: false }) }))

  unhedged("the retry budget", world([[500], [0]], { policies: { retry: { budgetMax: 0 } } }))

  unhedged("the bulkhead: no place is free", world([[500], [0]], { policies: { bulkhead: { maxInFlight: 1 } } }))

  unhedged(
    "the breaker: it is not closed, and there is nobody else",
    world([[500], [0]]),
    Effect.flatMap(CircuitBreaker, (breaker) => breaker.trip("one/m1", 60_000))
  )

  unhedged(
    "the kill switch",
    world([[500], [0]]),
    Effect.flatMap(KillSwitch, (killSwitch) => killSwitch.off("provider", "one"))
  )

  unhedged(
    "the deadline: it comes before the call is late",
    world([[500], [0]], { hedging: Hedging.fixed(7_999.5), policies: { timeouts: { hardMs: 8_000 } } })
  )

  const whole = world([[500], [0]])
  test(
    "an answer in one piece has no first token, and is not looked at",
    whole,
    Effect.gen(function* () {
      yield* during(Effect.scoped(complete(chat({ model: "solo" }))))
      assert.strictEqual(whole.world.calls.length, 1)
      assert.deepStrictEqual(whole.log.late, [])
      assert.deepStrictEqual(whole.log.observed, [])
    })
  )
})

describe("who takes the second call", () => {
  const trip = Effect.flatMap(CircuitBreaker, (breaker) => breaker.trip("one/m1", 60_000))

  const next = world([[1_000], [50]])
  test(
    "the next candidate, where the breaker of the first has opened meanwhile",
    next,
    Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(during(read(streamed({ model: "duo" }))))
      yield* turns(5)
      yield* trip
      const { exit } = yield* Fiber.join(fiber)
      assert.deepStrictEqual(exit, Exit.succeed("2: deep enough"))
      assert.deepStrictEqual(attempts(next), [
        ["one", "first", "cancelled"],
        ["two", "hedge", "ok"]
      ])
      assert.deepInclude(next.world.ended[0]?.candidate, { provider: "two" })
      assert.deepStrictEqual(next.world.verdicts, ["two/m2: succeed 50"])
    })
  )

  const notNext = world([[500], [50]])
  test(
    "nobody, where that one's breaker is not closed either: a hedge is no probe",
    notNext,
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker
      const fiber = yield* Effect.forkChild(during(read(streamed({ model: "duo" }))))
      yield* turns(5)
      yield* trip
      yield* breaker.trip("two/m2", 1)
      const { exit } = yield* Fiber.join(fiber)
      assert.deepStrictEqual(exit, Exit.succeed("1: deep enough"))
      assert.strictEqual(notNext.world.calls.length, 1)
      assert.strictEqual(yield* breaker.state("two/m2"), "half-open")
    })
  )

  const same = world([[1_000], [50]])
  test(
    "the same candidate otherwise",
    same,
    Effect.gen(function* () {
      yield* during(read(streamed({ model: "duo" })))
      assert.deepStrictEqual(
        same.world.calls.map(({ candidate }) => candidate.provider),
        ["one", "one"]
      )
    })
  )
})

describe("what it costs", () => {
  const paid = world([[1_000], [50]])
  test(
    "the loser's prompt, once: in the cost, not in the usage, and taken from the cost cap before",
    paid,
    Effect.gen(function* () {
      yield* during(read())
      const [record] = paid.world.ended
      assert.deepStrictEqual(paid.log.spent, [record?.estimatedInput])
      assert.deepInclude(record, { usage: Usage.make(100, 20), extraTokens: 100, cost: 100 + 40 + 100 })
      assert.deepStrictEqual(paid.log.earned, [120])
      assert.deepStrictEqual(paid.world.charges[0]?.settled, [120], "the caller's limits pay for the answer alone")
    })
  )

  const left = world([[1_000], [50]])
  test(
    "the same where the reader leaves before the end",
    left,
    Effect.gen(function* () {
      yield* during(Effect.scoped(complete(streamed())))
      const [record] = left.world.ended
      assert.strictEqual(record?.outcome, "cancelled")
      assert.strictEqual(record?.extraTokens, record?.usage?.prompt_tokens)
      assert.isAbove(record?.extraTokens ?? 0, 0)
    })
  )

  const places = world([[1_000], [50]])
  const settled: Array<readonly [call: number, tokens: number]> = []
  const bulkhead = Layer.effect(
    Bulkhead,
    Effect.map(Bulkhead, (service) => {
      let permits = 0
      const noted = (permit: BulkheadPermit): BulkheadPermit => {
        const n = ++permits
        return {
          waitedMs: permit.waitedMs,
          firstToken: (ms) => permit.firstToken(ms),
          pace: (tokens, ms) => permit.pace(tokens, ms),
          answered: (tokens, ms) => permit.answered(tokens, ms),
          dropped: () => permit.dropped(),
          settle: (tokens) => void settled.push([n, tokens]),
          unused: () => permit.unused(),
          release: () => permit.release()
        }
      }
      return BulkheadPort.make({
        ...service,
        acquireUnsafe: (request) => (restore, id) => Effect.map(service.acquireUnsafe(request)(restore, id), noted),
        tryAcquireUnsafe: (request) => {
          const permit = service.tryAcquireUnsafe(request)
          return permit === undefined ? undefined : noted(permit)
        }
      })
    })
  )
  it.effect("the tenant's account: the loser's prompt, the winner's all", () =>
    Effect.gen(function* () {
      yield* during(read())
      assert.deepStrictEqual(settled, [
        [1, places.world.ended[0]?.estimatedInput ?? 0],
        [2, 120]
      ])
    }).pipe(Effect.provide(Layer.provideMerge(bulkhead, places.layer)))
  )

  const budget = world([[1_000], [50]])
  test(
    "a place of the retry budget, as long as both calls run",
    budget,
    Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(read())
      yield* TestClock.adjust(90)
      assert.deepInclude(budget.world.budget, { first: 1, extra: 0 })
      yield* TestClock.adjust(30)
      assert.deepInclude(budget.world.budget, { first: 1, extra: 1, drawn: 1 })
      yield* TestClock.adjust(40)
      assert.deepInclude(budget.world.budget, { first: 1, extra: 0 }, "the winner is the request's only call")
      yield* TestClock.adjust(100)
      yield* Fiber.join(fiber)
      assert.deepInclude(budget.world.budget, { first: 0, extra: 0, deposits: 1 })
      assert.isAbove(yield* (yield* RetryBudget).available, 0)
    })
  )
})

describe("while both calls run", () => {
  const late = world([[Infinity], [Infinity]], { policies: { timeouts: { hardMs: 1_000 } } })
  test(
    "the deadline ends both: slow for the breaker if they were, and no more",
    late,
    Effect.gen(function* () {
      const { at, exit } = yield* during(Effect.flip(read()))
      assert.strictEqual(at, 1_000)
      assert.strictEqual(Exit.isSuccess(exit) ? exit.value._tag : undefined, "DeadlineError")
      assert.deepStrictEqual(
        late.world.calls.map(({ closedAt }) => closedAt),
        [1_000, 1_000]
      )
      assert.deepStrictEqual(late.world.verdicts.toSorted(), ["one/m1: cutShort 1000", "one/m1: cutShort 900"])
      assert.deepStrictEqual(attempts(late), [
        ["one", "first", "DeadlineError.Exceeded"],
        ["one", "hedge", "DeadlineError.Exceeded"]
      ])
    })
  )

  const slow = world([[Infinity], [1_000]], { policies: { timeouts: { firstTokenMs: 1_000 } } })
  test(
    "the first one's time is over: the second has all of its own",
    slow,
    Effect.gen(function* () {
      const { at, exit } = yield* during(read())
      assert.deepStrictEqual(exit, Exit.succeed("2: deep enough"))
      assert.strictEqual(at, 1_140)
      assert.deepStrictEqual(attempts(slow), [
        ["one", "first", "ProviderError.Timeout"],
        ["one", "hedge", "ok"]
      ])
    })
  )

  const gone = world([[Infinity], [Infinity]])
  test(
    "the caller leaves: both are ended at once, and no breaker hears of it",
    gone,
    Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(read())
      yield* TestClock.adjust(500)
      assert.strictEqual(gone.world.calls.length, 2)
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(
        gone.world.calls.map(({ closedAt }) => closedAt),
        [500, 500]
      )
      assert.deepStrictEqual(gone.world.verdicts, [])
      assert.deepStrictEqual(attempts(gone), [
        ["one", "first", "cancelled"],
        ["one", "hedge", "cancelled"]
      ])
      assert.deepStrictEqual(gone.log.observed.toSorted(), ["one/m1: 400 censored", "one/m1: 500 censored late"])
    })
  )

  it.effect("a first call that answers because there is a second", () => {
    const hedging = Hedging.fixed(delayMs)
    const asked = Deferred.makeUnsafe<void>()
    let working = 0
    const made = make(
      {
        open: (call) => {
          if (call.n === 1) return Effect.andThen(Deferred.await(asked), words(call))
          working++
          const ended = Effect.sync(() => void working--)
          return Effect.andThen(
            Deferred.succeed(asked, undefined),
            Effect.onExit(Effect.never, () => ended)
          )
        }
      },
      configOf({ retry: richRetries })
    )
    return Effect.gen(function* () {
      const { at, exit } = yield* during(read())
      assert.deepStrictEqual(exit, Exit.succeed("1: deep enough"))
      assert.strictEqual(at, 140)
      assert.strictEqual(working, 0)
      yield* balanced(made.world)
    }).pipe(Effect.provide(Layer.merge(made.layer, hedging.layer)))
  })

  it.effect("a loser whose connection does not close holds nobody up", () => {
    const hedging = Hedging.fixed(delayMs)
    const made = make(
      {
        open: (call) =>
          call.n === 1
            ? Effect.andThen(
                Effect.acquireRelease(Effect.void, () => Effect.never),
                Effect.never
              )
            : Effect.delay(words(call), 50)
      },
      configOf({ retry: richRetries })
    )
    return Effect.gen(function* () {
      const { at, exit } = yield* during(read())
      assert.deepStrictEqual(exit, Exit.succeed("2: deep enough"))
      assert.strictEqual(at, 190)
      assert.strictEqual(
        (yield* (yield* Bulkhead).state("one")).inFlight,
        1,
        "its place is not free before it has gone"
      )
    }).pipe(Effect.provide(Layer.merge(made.layer, hedging.layer)))
  })
})
