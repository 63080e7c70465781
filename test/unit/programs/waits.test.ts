/** The waits of a stream, each in its time. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Result, Stream } from "effect"
import { TestClock } from "effect/testing"
import type { ProviderError } from "../../../src/domain/errors.ts"
import * as Request from "../../../src/programs/request.ts"
import * as Waits from "../../../src/programs/waits.ts"
import type { CompletionEvent } from "../../../src/services/provider.ts"
import { chunk, configOf, make } from "../../support/scripted-ballast.ts"

const candidate = { provider: "one", model: "m1" }

/** Events after so many ms each, read under an idle limit of 100 ms and an end at 250 ms; when it ended, and how. */
const read = (pauses: ReadonlyArray<number>) =>
  Effect.gen(function* () {
    const stream: Stream.Stream<CompletionEvent, ProviderError> = Stream.mapEffect(Stream.fromIterable(pauses), (ms) =>
      Effect.delay(Effect.succeed(chunk("x")), ms)
    )
    const seen: Array<CompletionEvent> = []
    const reading = Effect.scoped(
      Request.run("chat", (request) =>
        request.restore(
          Stream.runForEach(Waits.streamInTime(stream, Waits.inTime(request, candidate, 250, 250)), (event) =>
            Effect.sync(() => void seen.push(event))
          )
        )
      )
    )
    const fiber = yield* Effect.forkChild(Effect.exit(reading))
    yield* TestClock.adjust(1_000)
    const exit = yield* Fiber.join(fiber)
    const error = Exit.isFailure(exit) ? Cause.findError(exit.cause) : undefined
    return {
      seen: seen.length,
      reason: error !== undefined && Result.isSuccess(error) ? error.success.reason : undefined
    }
  }).pipe(Effect.provide(make({}, configOf({ timeouts: { idleMs: 100, streamMs: 250, hardMs: 250 } })).layer))

describe("inTime", () => {
  it.effect("lets a stream through that keeps its time", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* read([90, 90]), { seen: 2, reason: undefined })
    })
  )

  it.effect("cuts silence", () =>
    Effect.gen(function* () {
      const { reason, seen } = yield* read([90, 150])
      assert.deepStrictEqual([seen, reason], [1, { _tag: "Timeout", phase: "idle", afterMs: 100 }])
    })
  )

  it.effect("cuts what goes on beyond the end", () =>
    Effect.gen(function* () {
      const { reason, seen } = yield* read([90, 90, 90])
      assert.deepStrictEqual([seen, reason], [2, { _tag: "Timeout", phase: "total", afterMs: 250 }])
    })
  )
})
