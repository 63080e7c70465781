// Candidates find their upstream by name.
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { openaiCompatible } from "../../../../src/layers/provider/openai.ts"
import * as Upstreams from "../../../../src/layers/provider/upstreams.ts"
import * as Scripted from "../../../../src/layers/transport/scripted.ts"
import { Provider } from "../../../../src/services/provider.ts"
import { openRequest } from "../../../support/upstream-call.ts"

describe("upstreams", () => {
  it.effect("dispatches by provider, and knows no other names", () => {
    const scripted = Scripted.make([Scripted.json({ choices: [] })])
    const layer = Upstreams.layer({
      one: openaiCompatible({ baseUrl: "http://one/v1" }),
      two: openaiCompatible({ baseUrl: "http://two/v1" })
    }).pipe(Layer.provide(Scripted.layer(scripted)))
    return Effect.gen(function* () {
      const provider = yield* Provider
      yield* Effect.scoped(provider.open({ provider: "two", model: "m" }, openRequest()))
      yield* Effect.scoped(provider.open({ provider: "one", model: "m" }, openRequest()))
      assert.deepStrictEqual(
        scripted.calls.map((call) => call.request.origin),
        ["http://two", "http://one"]
      )
      for (const name of ["three", "__proto__", "constructor"]) {
        const error = yield* Effect.flip(Effect.scoped(provider.open({ provider: name, model: "m" }, openRequest())))
        assert.strictEqual(error.reason._tag, "NotFound")
        assert.strictEqual(error.provider, name)
      }
      const embedding = {
        embedding: { model: "m", input: "x" },
        body: undefined,
        deadlineMs: Infinity,
        traceparent: undefined
      }
      const error = yield* Effect.flip(Effect.scoped(provider.embed({ provider: "x", model: "m" }, embedding)))
      assert.strictEqual(error.reason._tag, "NotFound")
    }).pipe(Effect.provide(layer))
  })
})
