import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import * as Errors from "../../../src/domain/errors.ts"
import { entries, samples } from "../../support/error-samples.ts"

const switchedOff = (reason: Omit<Errors.KillSwitchError["reason"], "_tag">) =>
  new Errors.KillSwitchError({ reason: { _tag: "Off", ...reason } }).message

const invalidField = (param: string | null) =>
  new Errors.RequestError({ reason: { _tag: "InvalidField", param, detail: "Expected object" } }).message

describe("messages", () => {
  it.each(entries)("%s reads as a sentence", (_, error) => {
    assert.match(error.message, /^[A-Z].{9,}$/)
    assert.notMatch(error.message, /undefined|NaN|\[object|\bnull\b/)
    // Times are for people: no fractions of a millisecond.
    assert.notMatch(error.message, /\d\.\d+ ms/)
  })

  it("differ from each other, where the words are ours", () => {
    const messages = entries.filter(([key]) => !key.startsWith("ProviderError.")).map(([, error]) => error.message)
    assert.strictEqual(new Set(messages).size, messages.length)
  })

  it("say when to try again", () => {
    for (const key of ["RateLimitError.Exceeded", "BulkheadError.QueueFull", "CircuitBreakerError.Open"] as const) {
      assert.include(samples[key].message, "Try again in 1501 ms")
    }
  })

  it("name the switch and the operator's note", () => {
    assert.strictEqual(switchedOff({ kind: "all", target: "" }), "Switched off by the operator (all).")
    assert.strictEqual(
      switchedOff({ kind: "model", target: "m", note: "too dear" }),
      "Switched off by the operator (model 'm'): too dear"
    )
  })

  it("name the field, or nothing for the body as a whole", () => {
    assert.strictEqual(invalidField("n"), "Invalid 'n': Expected object")
    assert.strictEqual(invalidField(null), "Expected object")
  })

  it.each(Errors.TimeoutPhase.literals)("tell what did not come: %s", (phase) => {
    const error = new Errors.ProviderError({ provider: "p", reason: { _tag: "Timeout", phase, afterMs: 99.6 } })
    assert.match(
      error.message,
      /^Provider 'p' gave no (connection|first token|further chunk|complete answer) within 100 ms\.$/
    )
  })
})

describe("errors", () => {
  it("survive their JSON, so that they can cross a process", () => {
    const codec = Schema.toCodecJson(
      Schema.Union([
        Errors.RequestError,
        Errors.AuthError,
        Errors.KillSwitchError,
        Errors.RateLimitError,
        Errors.LeaseError,
        Errors.BudgetError,
        Errors.IdempotencyError,
        Errors.BulkheadError,
        Errors.PacerError,
        Errors.DeadlineError,
        Errors.CircuitBreakerError,
        Errors.ProviderError,
        Errors.ShutdownError
      ])
    )
    for (const [, error] of entries) {
      const json = JSON.stringify(Schema.encodeUnknownSync(codec)(error))
      const back = Schema.decodeUnknownSync(codec)(JSON.parse(json))
      assert.strictEqual(back.message, error.message)
      assert.deepStrictEqual<unknown>(back.reason, error.reason)
    }
  })

  it.effect("are caught by their reason", () =>
    Effect.gen(function* () {
      const failing: Effect.Effect<number, Errors.RateLimitError> = Effect.fail(
        new Errors.RateLimitError({
          reason: { _tag: "NeverFits", dimension: "user", unit: "tokens", limit: 10, asked: 11 }
        })
      )
      const caught = failing.pipe(
        Effect.catchReason("RateLimitError", "NeverFits", ({ asked }) => Effect.succeed(asked))
      )
      assert.strictEqual(yield* caught, 11)
    })
  )
})
