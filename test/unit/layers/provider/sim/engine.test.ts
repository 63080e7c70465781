import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit } from "effect"
import { TestClock } from "effect/testing"
import * as Engine from "../../../../../src/layers/provider/sim/engine.ts"
import { within } from "./drive.ts"

const shape: Engine.CallShape = {
  model: "sim-large",
  promptTokens: 3,
  tokens: 10,
  choices: 1,
  first: { medianMs: 100, sigma: 0 },
  directive: undefined
}

describe("engine", () => {
  it.effect("times depend on the seed and on how many calls came before, not on what they were", () =>
    Effect.gen(function* () {
      const due = (engine: Engine.Engine) =>
        Effect.scoped(Effect.map(engine.admit(shape), (call) => [call.ordinal, call.dueAt(0), call.dueAt(10)]))
      const one = yield* Engine.make()
      const two = yield* Engine.make()
      yield* Effect.scoped(two.admit({ ...shape, tokens: 500, promptTokens: 9000 }))
      yield* due(one)
      assert.deepStrictEqual(yield* due(one), yield* due(two))
    })
  )

  it.effect("counts every call once", () =>
    Effect.gen(function* () {
      const engine = yield* Engine.make({
        rpm: 3,
        strictModels: true,
        faults: [{ kind: "outage", fromMs: 0, toMs: 1000 }]
      })
      const admit = (rest: Partial<Engine.CallShape> = {}) =>
        Effect.exit(Effect.scoped(engine.admit({ ...shape, ...rest })))
      assert(Exit.isFailure(yield* admit()))
      yield* TestClock.adjust(1000)
      assert(Exit.isFailure(yield* admit({ model: "unheard-of" })))
      for (let i = 0; i < 4; i++) yield* admit()
      yield* within(5000, Effect.scoped(Effect.andThen(Effect.exit(engine.admit(shape)), Effect.sleep(5000))))
      const stats = yield* engine.stats
      assert.deepInclude(stats, { calls: 7, failed: 2, abandoned: 3, refused: 2, finished: 0, running: 0 })
      assert.strictEqual(stats.promptTokens, 9)
    })
  )

  it.effect("refuses as slowly as told", () =>
    Effect.gen(function* () {
      const engine = yield* Engine.make({ errorMs: 40, faults: [{ kind: "outage" }] })
      const started = engine.processor.now()
      const failure = yield* within(40, Effect.flip(Effect.scoped(engine.admit(shape))))
      assert.strictEqual(engine.processor.now() - started, 40)
      assert.strictEqual(failure._tag, "Status")
    })
  )

  it.effect("options that cannot be read are a defect", () =>
    Effect.gen(function* () {
      const exit = yield* Effect.exit(Effect.scoped(Engine.make({ rpm: -1 })))
      assert(Exit.hasDies(exit))
    })
  )
})
