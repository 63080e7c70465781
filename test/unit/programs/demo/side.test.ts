import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { AskFailed } from "../../../../src/programs/demo/clients.ts"
import type { Ask } from "../../../../src/programs/demo/clients.ts"
import * as Scenario from "../../../../src/programs/demo/scenario.ts"
import * as Side from "../../../../src/programs/demo/side.ts"
import * as Tally from "../../../../src/programs/demo/tally.ts"

const scenario = Scenario.make({ requests: 40, seed: 1, fast: false })

const played = (ask: Ask) =>
  Effect.gen(function* () {
    const tally = Tally.make()
    const fiber = yield* Effect.forkChild(Effect.scoped(Side.play(scenario, ask, tally)), { startImmediately: true })
    yield* TestClock.adjust(scenario.durationMs + scenario.patienceMs + 1_000)
    yield* Fiber.join(fiber)
    return tally.summary()
  })

describe("side", () => {
  it.effect("measures answers and first tokens from the moment of asking", () =>
    Effect.gen(function* () {
      const summary = yield* played((_, onFirstToken) =>
        Effect.gen(function* () {
          yield* Effect.sleep("300 millis")
          onFirstToken()
          yield* Effect.sleep("700 millis")
        })
      )
      assert.strictEqual(summary.asked, 40)
      assert.strictEqual(summary.answered, 40)
      assert.strictEqual(summary.p50Ms, 1_000)
      assert.strictEqual(summary.firstTokenP95Ms, 300)
    })
  )

  it.effect("a user leaves when their patience ends; what still runs counts no more, and goes on until the end", () =>
    Effect.gen(function* () {
      let interrupted = 0
      const summary = yield* played((_, onFirstToken) =>
        Effect.onInterrupt(
          Effect.andThen(
            Effect.sleep(scenario.patienceMs + 500),
            Effect.andThen(Effect.sync(onFirstToken), Effect.never)
          ),
          () => Effect.sync(() => void interrupted++)
        )
      )
      assert.strictEqual(summary.leftWaiting, 40)
      assert.isNull(summary.firstTokenP50Ms)
      assert.strictEqual(interrupted, 40)
    })
  )

  it.effect("an error at once is a refusal, a late one an error", () =>
    Effect.gen(function* () {
      const summary = yield* played(({ id }) =>
        Effect.andThen(
          Effect.sleep(id % 2 === 0 ? "100 millis" : "1500 millis"),
          Effect.fail(new AskFailed({ code: "server_is_overloaded" }))
        )
      )
      assert.strictEqual(summary.refusedFast, 20)
      assert.strictEqual(summary.errors, 20)
      assert.deepStrictEqual(summary.codes, { server_is_overloaded: 40 })
    })
  )
})
