import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit } from "effect"
import * as Caller from "../../../../src/domain/caller.ts"
import * as StaleAnswersNone from "../../../../src/layers/stale-answers/none.ts"
import { StaleAnswers } from "../../../../src/services/stale-answers.ts"
import { chat } from "../../../support/scripted-ballast.ts"

describe("none", () => {
  it.effect("has no earlier answer, and says so without waiting", () =>
    Effect.gen(function* () {
      const { lookup } = yield* StaleAnswers
      const found = lookup(Caller.anonymous, chat())
      assert.isTrue(Exit.isExit(found))
      assert.isUndefined(yield* found)
    }).pipe(Effect.provide(StaleAnswersNone.layer))
  )
})
