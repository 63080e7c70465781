import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as Brownout from "../../../src/domain/brownout.ts"
import { rowOfKey } from "../../../src/domain/error-table.ts"
import type { ErrorKey } from "../../../src/domain/error-table.ts"
import type { BallastError, CompleteError } from "../../../src/domain/errors.ts"
import { entries } from "../../support/error-samples.ts"

const isOfComplete = (error: BallastError): error is CompleteError =>
  error._tag !== "AuthError" && error._tag !== "ShutdownError"

/** The keys of the errors for which `holds`. */
const those = (holds: (error: CompleteError) => boolean): ReadonlyArray<ErrorKey> =>
  entries.flatMap(([key, error]) => (isOfComplete(error) && holds(error) ? [key] : []))

describe("the shipped defaults", () => {
  it("are a policy under which nothing but full answers is served", () => {
    assert.isTrue(Schema.is(Brownout.BrownoutPolicy)(Brownout.defaults))
    assert.deepStrictEqual(Brownout.defaults, { partial: false, refusal: {} })
  })
})

describe("the policy", () => {
  it("takes links to the web alone, texts that say something, and caps of at least one token", () => {
    const is = Schema.is(Brownout.BrownoutPolicy)
    const policy = (more: object) => is({ ...Brownout.defaults, ...more })
    assert.isTrue(policy({ refusal: { message: "Busy.", link: "https://status.example.com/now" } }))
    assert.isFalse(policy({ refusal: { link: "javascript:alert(1)" } }))
    assert.isFalse(policy({ refusal: { message: "" } }))
    assert.isTrue(policy({ shorter: { maxTokens: 1, above: 0, critical: false } }))
    assert.isFalse(policy({ shorter: { maxTokens: 0, above: 0, critical: false } }))
    assert.isFalse(policy({ shorter: { maxTokens: 1, above: -1, critical: false } }))
  })
})

describe("which failures descend", () => {
  it("all that another try may help, and a deadline; never a client's own mistake", () => {
    const descending = those(Brownout.descends)
    for (const key of descending) {
      assert.isTrue(rowOfKey(key).status >= 500 || rowOfKey(key).status === 429, key)
    }
    assert.includeMembers(
      [...descending],
      ["BulkheadError.QueueFull", "CircuitBreakerError.Open", "ProviderError.Overloaded", "DeadlineError.Exceeded"]
    )
    for (const key of ["RequestError.ContextTooLong", "ProviderError.BadRequest", "RateLimitError.Exceeded"] as const) {
      assert.notInclude([...descending], key)
    }
  })

  it("to a smaller model: the same, while there is time", () => {
    assert.deepStrictEqual(
      those(Brownout.mayAskSmaller),
      those(Brownout.descends).filter((key) => key !== "DeadlineError.Exceeded")
    )
  })
})
