import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { anonymous } from "../../../../src/domain/caller.ts"
import * as RouterOrdered from "../../../../src/layers/router/ordered.ts"
import { Router } from "../../../../src/services/router.ts"

describe("Router: ordered", () => {
  it.effect("gives the candidates in the order of the configuration", () =>
    Effect.gen(function* () {
      const router = yield* Router
      const candidates = [
        { provider: "b", model: "m" },
        { provider: "a", model: "m", region: "eu" }
      ] as const
      const model = {
        alias: "m",
        kind: "chat",
        candidates,
        price: { input: 0, output: 0 },
        contextTokens: 1,
        maxOutputTokens: 1
      } as const
      assert.deepStrictEqual(yield* router.route(model, anonymous), candidates)
    }).pipe(Effect.provide(RouterOrdered.layer))
  )
})
