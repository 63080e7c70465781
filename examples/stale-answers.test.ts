/**
 * Serving an earlier answer when no live one can be had: a layer of your own
 * for one rung of the brownout ladder. Whose answer it was is a part of the key.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
// In your own code: from "ballast", "ballast/services/stale-answers"
import { Ballast, Caller, Config, CurrentCaller, collect, complete } from "../src/index.ts"
import type { ChatCompletion, ChatRequest } from "../src/index.ts"
import { StaleAnswers } from "../src/services/stale-answers.ts"

const keyOf = ({ tenant }: Caller.Caller, { messages, model }: ChatRequest) => JSON.stringify([tenant, model, messages])

/** The answers of yesterday, in memory. */
const remembered = (answers: ReadonlyMap<string, ChatCompletion>) =>
  Layer.succeed(StaleAnswers, {
    lookup: (caller, chat) =>
      Effect.sync(() => {
        const completion = answers.get(keyOf(caller, chat))
        return completion === undefined
          ? undefined
          : {
              answer: { _tag: "Whole" as const, completion, data: JSON.stringify(completion) },
              candidate: { provider: "sim", model: completion.model },
              ageMs: 86_400_000
            }
      })
  })

const acme = Caller.make("acme")
const question: ChatRequest = { model: "assistant", messages: [{ role: "user", content: "When do you open?" }] }
const yesterday: ChatCompletion = {
  id: "chatcmpl-1",
  object: "chat.completion",
  created: 0,
  model: "sim-large",
  choices: [{ index: 0, message: { role: "assistant", content: "At nine." }, finish_reason: "stop" }]
}

/** A provider that is out. */
const config = Config.fromUnknown({
  providers: { sim: { kind: "sim", sim: { faults: [{ kind: "outage" }] } } },
  models: [{ alias: "assistant", candidates: ["sim/sim-large"], price: { inputPerMillion: 1 } }],
  policies: { retry: { maxRetries: 0 } }
})

describe("an earlier answer", () => {
  it.effect("stands in for a live one, for the tenant whose answer it was", () =>
    Effect.gen(function* () {
      const layer = Layer.merge(Ballast.layer(yield* config), remembered(new Map([[keyOf(acme, question), yesterday]])))
      const ask = Effect.scoped(
        Effect.gen(function* () {
          const completion = yield* complete(question)
          const answer = yield* collect(completion)
          return { degraded: completion.degraded, text: answer.choices[0]?.message["content"] }
        })
      )
      assert.deepStrictEqual(yield* ask.pipe(Effect.provideService(CurrentCaller, acme), Effect.provide(layer)), {
        degraded: { rung: "stale", reason: "ProviderError.Overloaded", ageMs: 86_400_000 },
        text: "At nine."
      })
      const beta = Effect.provideService(ask, CurrentCaller, Caller.make("beta"))
      assert.isTrue((yield* Effect.exit(Effect.provide(beta, layer)))._tag === "Failure")
    })
  )
})
