import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { anonymous, make } from "../../../src/domain/caller.ts"
import { CurrentCaller } from "../../../src/services/caller.ts"

describe("CurrentCaller", () => {
  it.effect("is nobody until a program says who", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* CurrentCaller, anonymous)
      const ada = make("acme", { user: "ada" })
      assert.strictEqual(yield* Effect.provideService(CurrentCaller, CurrentCaller, ada), ada)
    })
  )
})
