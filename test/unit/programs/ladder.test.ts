/** The brownout ladder, rung by rung, in virtual time: what is tried in which order, after which failures, at whose cost. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Layer, Result, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as Caller from "../../../src/domain/caller.ts"
import type { CompleteError, ProviderReason } from "../../../src/domain/errors.ts"
import { keyOf } from "../../../src/domain/error-table.ts"
import * as Usage from "../../../src/domain/usage.ts"
import { collect } from "../../../src/programs/collect.ts"
import { complete } from "../../../src/programs/complete.ts"
import { CurrentCaller } from "../../../src/services/caller.ts"
import { CircuitBreaker } from "../../../src/services/circuit-breaker.ts"
import { KillSwitch } from "../../../src/services/kill-switch.ts"
import { StaleAnswers } from "../../../src/services/stale-answers.ts"
import type { StaleAnswer } from "../../../src/services/stale-answers.ts"
import {
  balanced,
  chat,
  chunk,
  completionOf,
  configOf,
  fail,
  make,
  overloaded,
  richRetries,
  streaming,
  whole
} from "../../support/scripted-ballast.ts"
import type { Call, Script } from "../../support/scripted-ballast.ts"

const large = { inputPerMillion: 1, outputPerMillion: 2 }
const small = { inputPerMillion: 0.1, outputPerMillion: 0.2 }

/** `large` falls to `small`, which falls to `tiny`; each at a model of its own. */
const config = (policies: Parameters<typeof configOf>[0] = {}) =>
  configOf(
    { retry: { maxRetries: 0, ...richRetries }, ...policies },
    {
      models: [
        { alias: "large", candidates: ["one/large"], price: large, smaller: "small" },
        { alias: "small", candidates: ["two/small"], price: small, smaller: "tiny" },
        { alias: "tiny", candidates: ["two/tiny"], price: small },
        { alias: "narrow", candidates: ["one/large"], price: large, smaller: "cramped" },
        { alias: "cramped", candidates: ["two/small"], price: small, contextTokens: 10 }
      ]
    }
  )

const ask = (more: Parameters<typeof chat>[0] = {}) => complete(chat({ model: "large", ...more }))

const errorOf = <A>(exit: Exit.Exit<A, CompleteError>): CompleteError => {
  const found = Exit.isFailure(exit) ? Cause.findError(exit.cause) : undefined
  return found !== undefined && Result.isSuccess(found) ? found.success : assert.fail(`no error: ${String(exit)}`)
}

/** How it ends, within `byMs`. */
const ends = <A, R>(effect: Effect.Effect<A, CompleteError, R>, byMs = 20_000) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(Effect.exit(Effect.scoped(effect)))
    yield* TestClock.adjust(byMs)
    return yield* Fiber.join(fiber)
  })

const quota: ProviderReason = { _tag: "QuotaExhausted", detail: "none left" }
const badRequest: ProviderReason = { _tag: "BadRequest", detail: "no such field" }

/** Answers by the model asked for; `undefined` answers, a reason fails. */
const by =
  (reasons: Readonly<Record<string, ProviderReason | undefined>>): NonNullable<Script["open"]> =>
  (call) => {
    const reason = reasons[call.candidate.model]
    return reason === undefined ? whole(call, call.candidate.model) : fail(call, reason)
  }

const models = (calls: ReadonlyArray<Call>) => calls.map(({ candidate }) => candidate.model)

const earlier = completionOf("As I said yesterday.", Usage.make(7, 7))
const staleAnswer: StaleAnswer = {
  answer: { _tag: "Whole", completion: earlier, data: JSON.stringify(earlier) },
  candidate: { provider: "one", model: "yesterday" },
  ageMs: 86_400_000
}

/** Earlier answers of tenant `acme`, and who asked for them. */
const remembering = (lookup: Effect.Effect<StaleAnswer | undefined> = Effect.succeed(staleAnswer)) => {
  const asked: Array<{ readonly tenant: string; readonly model: string }> = []
  return {
    asked,
    layer: Layer.succeed(StaleAnswers, {
      lookup: ({ tenant }, { model }) => {
        asked.push({ tenant, model })
        return tenant === "acme" ? lookup : Effect.succeed(undefined)
      }
    })
  }
}

const acme = Effect.provideService(CurrentCaller, Caller.make("acme"))

describe("full", () => {
  it.effect("looks for nothing else while the model itself answers", () => {
    const { layer, world } = make({ open: by({}) }, config())
    const stale = remembering()
    return Effect.gen(function* () {
      const completion = yield* Effect.scoped(ask())
      assert.notProperty(completion, "degraded")
      assert.deepStrictEqual([world.ended[0]?.rung, world.ended[0]?.degradedReason], ["full", undefined])
      assert.deepStrictEqual(stale.asked, [])
      yield* balanced(world)
    }).pipe(acme, Effect.provide(Layer.merge(layer, stale.layer)))
  })
})

describe("stale", () => {
  it.effect("an earlier answer stands before a smaller model, costs nothing and says how old it is", () => {
    const { layer, world } = make({ open: by({ large: quota }) }, config())
    const stale = remembering()
    return Effect.gen(function* () {
      const completion = yield* Effect.scoped(ask({ max_tokens: 50 }))
      assert.deepStrictEqual(completion.first, staleAnswer.answer)
      assert.deepStrictEqual(completion.degraded, {
        rung: "stale",
        reason: "ProviderError.QuotaExhausted",
        ageMs: 86_400_000
      })
      assert.deepStrictEqual(models(world.calls), ["large"])
      const [record] = world.ended
      assert.deepStrictEqual(
        [record?.outcome, record?.rung, record?.degradedReason, record?.cost, record?.usage, record?.candidate],
        ["ok", "stale", "ProviderError.QuotaExhausted", 0, undefined, staleAnswer.candidate]
      )
      assert.deepStrictEqual(world.charges[0]?.settled, [0])
      assert.strictEqual(world.budget.deposits, 0)
      yield* balanced(world)
    }).pipe(acme, Effect.provide(Layer.merge(layer, stale.layer)))
  })

  it.effect("is asked for in the name of the caller, and for the request as the caller wrote it", () => {
    const { layer, world } = make({ open: by({ large: quota, small: quota, tiny: quota }) }, config())
    const stale = remembering()
    return Effect.gen(function* () {
      const exit = yield* Effect.exit(Effect.scoped(ask()))
      assert.strictEqual(errorOf(exit).reason._tag, "QuotaExhausted")
      assert.deepStrictEqual(stale.asked, [{ tenant: "beta", model: "large" }])
      yield* balanced(world)
    }).pipe(Effect.provideService(CurrentCaller, Caller.make("beta")), Effect.provide(Layer.merge(layer, stale.layer)))
  })

  it.effect("is served when the deadline has come, too: it takes no time", () => {
    const { layer, world } = make({ open: () => Effect.never }, config({ timeouts: { hardMs: 3_000 } }))
    const stale = remembering()
    return Effect.gen(function* () {
      const exit = yield* ends(ask(), 3_100)
      assert.isTrue(Exit.isSuccess(exit))
      assert.strictEqual(world.ended[0]?.degradedReason, "DeadlineError.Exceeded")
      assert.deepStrictEqual(models(world.calls), ["large"])
      yield* balanced(world)
    }).pipe(acme, Effect.provide(Layer.merge(layer, stale.layer)))
  })

  it.effect("a store that does not answer is not waited for", () => {
    const { layer, world } = make({ open: by({ large: quota }) }, config())
    const stale = remembering(Effect.never)
    return Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(Effect.scoped(ask()))
      yield* TestClock.adjust(100)
      const completion = yield* Fiber.join(fiber)
      assert.strictEqual(completion.degraded?.rung, "smaller-model")
      assert.isAtLeast(world.calls[1]?.at ?? 0, 50)
      assert.isAtMost(world.calls[1]?.at ?? 0, 60)
      yield* balanced(world)
    }).pipe(acme, Effect.provide(Layer.merge(layer, stale.layer)))
  })
})

describe("smaller model", () => {
  it.effect("answers when the model's own candidates cannot, at its own price, and says so", () => {
    const { layer, world } = make({ open: by({ large: quota }) }, config())
    return Effect.gen(function* () {
      const request = chat({ model: "large", max_tokens: 50 })
      const completion = yield* Effect.scoped(complete(request, JSON.stringify(request)))
      assert.deepStrictEqual(completion.degraded, { rung: "smaller-model", reason: "ProviderError.QuotaExhausted" })
      assert.deepStrictEqual(completion.candidate, { provider: "two", model: "small" })
      assert.deepStrictEqual(models(world.calls), ["large", "small"])
      // The same request; the adapter writes the candidate's name over the alias.
      assert.deepStrictEqual(
        world.calls.map(({ request: sent }) => ("chat" in sent ? [sent.chat, sent.body] : undefined)),
        world.calls.map(() => [request, JSON.stringify(request)])
      )
      const [record] = world.ended
      assert.deepStrictEqual(
        {
          model: record?.model,
          answeredBy: record?.answeredBy,
          rung: record?.rung,
          reason: record?.degradedReason,
          usage: record?.usage,
          cost: record?.cost,
          attempts: record?.attempts.map(({ outcome }) => outcome)
        },
        {
          model: "large",
          answeredBy: "small",
          rung: "smaller-model",
          reason: "ProviderError.QuotaExhausted",
          usage: Usage.make(100, 20),
          // 100 tokens in at 0.1, 20 out at 0.2 micro-dollars.
          cost: 14,
          attempts: ["ProviderError.QuotaExhausted", "ok"]
        }
      )
      assert.strictEqual(world.budget.deposits, 1)
      yield* balanced(world)
    }).pipe(Effect.provide(layer))
  })

  it.effect("streams its answer as well", () => {
    const { layer, world } = make(
      {
        open: (call) =>
          call.n === 1 ? fail(call, quota) : streaming(call, "De", Stream.make(chunk("ep"), chunk(Usage.make(10, 2))))
      },
      config()
    )
    return Effect.gen(function* () {
      const answer = yield* Effect.scoped(
        Effect.flatMap(ask({ stream: true }), (completion) => {
          assert.strictEqual(completion.degraded?.rung, "smaller-model")
          return collect(completion)
        })
      )
      assert.strictEqual(answer.choices[0]?.message["content"], "Deep")
      assert.deepStrictEqual([world.ended[0]?.rung, world.ended[0]?.cost], ["smaller-model", 2])
      yield* balanced(world)
    }).pipe(Effect.provide(layer))
  })

  it.effect("draws on the retry budget when a call was made", () => {
    const { layer, world } = make({ open: by({ large: quota, small: quota }) }, config())
    return Effect.gen(function* () {
      yield* Effect.scoped(ask())
      assert.deepStrictEqual(models(world.calls), ["large", "small", "tiny"])
      assert.strictEqual(world.budget.drawn, 2)
      yield* balanced(world)
    }).pipe(Effect.provide(layer))
  })

  it.effect("draws nothing after mere refusals: the provider has not been bothered", () => {
    const { layer, world } = make({ open: by({}) }, config())
    return Effect.gen(function* () {
      const breaker = yield* CircuitBreaker
      yield* breaker.trip("one/large", 60_000)
      const completion = yield* Effect.scoped(ask())
      assert.deepStrictEqual(completion.degraded, { rung: "smaller-model", reason: "CircuitBreakerError.Open" })
      assert.deepStrictEqual(models(world.calls), ["small"])
      assert.strictEqual(world.budget.drawn, 0)
      yield* balanced(world)
    }).pipe(Effect.provide(layer))
  })

  it.effect("is not asked when the budget is spent: a storm is no time for more calls", () => {
    const { layer, world } = make({ open: by({ large: quota }) }, config({ retry: { maxRetries: 0, budgetMax: 0 } }))
    return Effect.gen(function* () {
      const exit = yield* Effect.exit(Effect.scoped(ask()))
      assert.strictEqual(errorOf(exit).reason._tag, "QuotaExhausted")
      assert.deepStrictEqual(models(world.calls), ["large"])
      yield* balanced(world)
    }).pipe(Effect.provide(layer))
  })

  it.effect("stays under the one deadline", () => {
    const { layer, world } = make({ open: () => Effect.never }, config({ timeouts: { firstTokenMs: 5_000 } }))
    return Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(Effect.exit(Effect.scoped(ask({ stream: true }))))
      yield* TestClock.adjust(8_100)
      assert.strictEqual(keyOf(errorOf(yield* Fiber.join(fiber))), "ProviderError.Timeout")
      // 5 s for the first, the 3 s that are left for the second, none for the third.
      assert.deepStrictEqual(models(world.calls), ["large", "small"])
      assert.isAtMost(world.calls[1]?.closedAt ?? Infinity, 8_020)
      yield* balanced(world)
    }).pipe(Effect.provide(layer))
  })

  it.effect("that an operator switched off is passed over", () => {
    const { layer, world } = make({ open: by({ large: quota }) }, config())
    return Effect.gen(function* () {
      const killSwitch = yield* KillSwitch
      yield* killSwitch.off("model", "small", "too dear")
      const completion = yield* Effect.scoped(ask())
      assert.deepStrictEqual(completion.candidate, { provider: "two", model: "tiny" })
      yield* balanced(world)
    }).pipe(Effect.provide(layer))
  })

  it.effect("is not asked for what does not fit into it", () => {
    const { layer, world } = make({ open: by({ large: quota }) }, config())
    return Effect.gen(function* () {
      const exit = yield* Effect.exit(Effect.scoped(ask({ model: "narrow" })))
      assert.strictEqual(errorOf(exit).reason._tag, "QuotaExhausted")
      assert.deepStrictEqual(models(world.calls), ["large"])
      yield* balanced(world)
    }).pipe(Effect.provide(layer))
  })

  it.effect("is never asked where the request itself is wrong", () => {
    const { layer, world } = make({ open: by({ large: badRequest }) }, config())
    const stale = remembering()
    return Effect.gen(function* () {
      const exit = yield* Effect.exit(Effect.scoped(ask()))
      assert.strictEqual(keyOf(errorOf(exit)), "ProviderError.BadRequest")
      assert.deepStrictEqual(models(world.calls), ["large"])
      assert.deepStrictEqual(stale.asked, [])
      assert.deepStrictEqual([world.ended[0]?.rung, world.ended[0]?.degradedReason], ["full", undefined])
      yield* balanced(world)
    }).pipe(acme, Effect.provide(Layer.merge(layer, stale.layer)))
  })

  it.effect("is never asked after the commit point", () => {
    const { layer, world } = make(
      {
        open: (call) => streaming(call, "De", Stream.fromEffect(fail(call, { _tag: "Truncated", detail: "cut" })))
      },
      config()
    )
    return Effect.gen(function* () {
      const exit = yield* Effect.exit(Effect.scoped(Effect.flatMap(ask({ stream: true }), collect)))
      assert.strictEqual(keyOf(errorOf(exit)), "ProviderError.Truncated")
      assert.deepStrictEqual(models(world.calls), ["large"])
      yield* balanced(world)
    }).pipe(Effect.provide(layer))
  })

  it.effect("that finds the request wrong ends the descent", () => {
    const { layer, world } = make({ open: by({ large: quota, small: badRequest }) }, config())
    return Effect.gen(function* () {
      const exit = yield* Effect.exit(Effect.scoped(ask()))
      // The caller's own model had nothing against the request.
      assert.strictEqual(keyOf(errorOf(exit)), "ProviderError.QuotaExhausted")
      assert.deepStrictEqual(models(world.calls), ["large", "small"])
      yield* balanced(world)
    }).pipe(Effect.provide(layer))
  })
})

describe("the order of the ladder", () => {
  /** A stream of some words that breaks off. */
  const breaking = (call: Call, words: string) =>
    streaming(call, words, Stream.fromEffect(fail(call, { _tag: "Truncated", detail: "cut" })))

  const cases: ReadonlyArray<{
    readonly rung: string
    readonly stale: boolean
    readonly small: "answers" | "breaks" | "fails"
    readonly large: "answers" | "breaks" | "fails"
  }> = [
    { rung: "full", stale: true, small: "answers", large: "answers" },
    { rung: "stale", stale: true, small: "answers", large: "breaks" },
    { rung: "stale", stale: true, small: "answers", large: "fails" },
    { rung: "smaller-model", stale: false, small: "answers", large: "breaks" },
    { rung: "partial", stale: false, small: "fails", large: "breaks" },
    { rung: "partial", stale: false, small: "breaks", large: "fails" },
    { rung: "refused", stale: false, small: "fails", large: "fails" }
  ]
  for (const { large: first, rung, small: second, stale } of cases) {
    it.effect(
      `${rung}: the model ${first}, ${stale ? "there is" : "there is no"} earlier answer, the smaller model ${second}`,
      () => {
        const { layer, world } = make(
          {
            open: (call) => {
              const how = call.candidate.model === "large" ? first : second
              if (how === "fails" || call.candidate.model === "tiny") return fail(call, overloaded())
              return how === "answers" ? whole(call) : breaking(call, "De")
            }
          },
          config({ brownout: { partial: true } })
        )
        const layers = stale ? Layer.merge(layer, remembering().layer) : layer
        return Effect.gen(function* () {
          const exit = yield* ends(ask())
          if (rung === "refused") {
            assert.strictEqual(keyOf(errorOf(exit)), "ProviderError.Overloaded")
          } else {
            assert.strictEqual(Exit.isSuccess(exit) ? (exit.value.degraded?.rung ?? "full") : String(exit), rung)
          }
          assert.strictEqual(world.ended[0]?.rung, rung)
          yield* balanced(world)
        }).pipe(acme, Effect.provide(layers))
      }
    )
  }
})

describe("refused", () => {
  it.effect("is the record's rung where the fault is not the client's, before any call as well", () => {
    const { layer, world } = make(
      { open: by({}) },
      config({ rateLimits: { user: { requestsPerMinute: 1 }, tenant: { requestsPerMinute: 1 } } })
    )
    return Effect.gen(function* () {
      yield* Effect.scoped(ask())
      yield* Effect.exit(Effect.scoped(ask()))
      assert.deepStrictEqual(
        world.ended.map(({ degradedReason, rung }) => [rung, degradedReason]),
        [
          ["full", undefined],
          ["refused", "RateLimitError.Exceeded"]
        ]
      )
      yield* balanced(world)
    }).pipe(acme, Effect.provide(layer))
  })
})
