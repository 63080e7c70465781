// The scripted transport does what its script says, in virtual time.
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Fiber } from "effect"
import * as TestClock from "effect/testing/TestClock"
import * as Scripted from "../../../../src/layers/transport/scripted.ts"

const request = { method: "POST", origin: "http://h", path: "/p", headers: ["a", "b"], body: "x" } as const

describe("scripted transport", () => {
  it.effect("answers in turn, the last step for ever, and records", () =>
    Effect.gen(function* () {
      const { calls, transport } = Scripted.make([Scripted.json({ n: 1 }, { status: 201 }), Scripted.json({ n: 2 })])
      const send = Effect.scoped(
        Effect.flatMap(transport.send(request), (r) => Effect.map(r.text(100), (text) => [r.status, text]))
      )
      assert.deepStrictEqual(yield* send, [201, '{"n":1}'])
      assert.deepStrictEqual(yield* send, [200, '{"n":2}'])
      assert.deepStrictEqual(yield* send, [200, '{"n":2}'])
      assert.deepStrictEqual(
        calls.map((call) => call.state),
        ["whole", "whole", "whole"]
      )
      assert.strictEqual(calls[0]?.request, request)
    })
  )

  it.effect("cuts, hangs, fails and waits on the Clock", () =>
    Effect.gen(function* () {
      const cut = Scripted.make([Scripted.sse(["a"], { end: "cut" })])
      const response = yield* cut.transport.send(request)
      yield* response.pull
      assert.isFalse(Cause.isDone(yield* Effect.flip(response.pull)))

      const hang = Scripted.make(["hang"])
      const fiber = yield* Effect.forkChild(Effect.scoped(hang.transport.send(request)), { startImmediately: true })
      yield* TestClock.adjust("1 hour")
      assert.isUndefined(fiber.pollUnsafe())
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(hang.calls[0]?.state, "aborted")

      const refused = Scripted.make([{ fail: { _tag: "Unreachable", detail: "d", refused: true } }])
      assert.strictEqual((yield* Effect.flip(refused.transport.send(request))).reason._tag, "Unreachable")

      const slow = Scripted.make([Scripted.sse([100, "a"], { delayMs: 50 })])
      const late = yield* Effect.forkChild(Effect.scoped(Effect.flatMap(slow.transport.send(request), (r) => r.pull)), {
        startImmediately: true
      })
      yield* TestClock.adjust(149)
      assert.isUndefined(late.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.strictEqual((yield* Fiber.join(late)).length, 1)
    })
  )

  it.effect("enforces the text limit and tells an abandoned body", () =>
    Effect.gen(function* () {
      const { calls, transport } = Scripted.make([Scripted.json("12345")])
      const error = yield* Effect.flip(Effect.scoped(Effect.flatMap(transport.send(request), (r) => r.text(4))))
      assert.strictEqual(error.reason._tag, "TooLarge")
      yield* Effect.scoped(transport.send(request))
      assert.deepStrictEqual(
        calls.map((call) => call.state),
        ["aborted", "aborted"]
      )
    })
  )

  it("cuts text by bytes", () => {
    assert.deepStrictEqual(
      Scripted.splitEvery("aü", 2).map((part) => [...part]),
      [[97, 0xc3], [0xbc]]
    )
  })
})
