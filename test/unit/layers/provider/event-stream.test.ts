// Bytes to batches of events, with a protocol played by the test.
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect } from "effect"
import type { ProviderReason } from "../../../../src/domain/errors.ts"
import * as EventStream from "../../../../src/layers/provider/event-stream.ts"
import type { StreamDecoder } from "../../../../src/layers/provider/protocol.ts"
import * as Scripted from "../../../../src/layers/transport/scripted.ts"
import { TransportError } from "../../../../src/services/transport.ts"
import { chunk, frame } from "../../../support/upstream-call.ts"

const cutTag = (error: TransportError) => EventStream.cut(error)._tag

/** Every frame is a chunk, `done` ends, `bad` is a fault. */
const decoder: StreamDecoder = {
  step: ({ data }, out) => {
    if (data === "done") return "done"
    if (data === "bad") return { _tag: "BrokenFrame", detail: "bad" }
    out.push({ _tag: "Chunk", chunk: chunk({}), data })
    return undefined
  },
  mayEnd: () => false
}

/** The data of each batch, and what came after the last. */
const run = (answer: Scripted.Answer) =>
  Effect.gen(function* () {
    const scripted = Scripted.make([answer])
    const response = yield* scripted.transport.send({
      method: "POST",
      origin: "http://h",
      path: "/",
      headers: [],
      body: undefined
    })
    const pull = EventStream.pullEvents(response, decoder, 100)
    const batches: Array<string> = []
    const end = yield* Effect.flip(
      Effect.forever(Effect.map(pull, (events) => batches.push(events.map((event) => event.data).join("+"))))
    )
    const again = yield* Effect.flip(pull)
    assert.deepStrictEqual(again, end)
    return {
      batches,
      end: Cause.isDone(end) ? "done" : (end satisfies ProviderReason)._tag,
      state: scripted.calls[0]?.state
    }
  })

describe("event stream", () => {
  it.effect("gives one batch for each pull of bytes and waits through pulls without a whole frame", () =>
    Effect.gen(function* () {
      const result = yield* run(
        Scripted.sse([frame("a") + frame("b"), ": ping\n\n", "data: c", "\n", "\n", frame("d") + frame("done")])
      )
      assert.deepStrictEqual(result, { batches: ["a+b", "c", "d"], end: "done", state: "whole" })
    })
  )

  it.effect("stays at its end, whatever follows, and tells the transport that the rest does not matter", () =>
    Effect.gen(function* () {
      const result = yield* run(Scripted.sse([frame("a"), frame("done") + frame("bad"), frame("b")], { end: "hang" }))
      assert.deepStrictEqual(result, { batches: ["a"], end: "done", state: "whole" })
    })
  )

  it.effect("delivers what came before a fault, then the fault", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* run(Scripted.sse([frame("a") + frame("bad") + frame("b")])), {
        batches: ["a"],
        end: "BrokenFrame",
        state: "open"
      })
      const long = yield* run(Scripted.sse([`${frame("a")}data: ${"x".repeat(200)}`]))
      assert.deepStrictEqual([long.batches, long.end], [["a"], "BrokenFrame"])
      assert.strictEqual((yield* run(Scripted.sse([frame("a"), "data: b"]))).end, "Truncated")
      assert.strictEqual((yield* run(Scripted.sse([frame("a")], { end: "cut" }))).end, "Truncated")
    })
  )

  it("says what a transport's failure means inside an answer", () => {
    assert.strictEqual(cutTag(new TransportError({ reason: { _tag: "Closed", detail: "" } })), "Truncated")
    assert.strictEqual(cutTag(new TransportError({ reason: { _tag: "TooLarge", limitBytes: 1 } })), "BadResponse")
    assert.strictEqual(
      cutTag(new TransportError({ reason: { _tag: "Timeout", phase: "idle", afterMs: 1 } })),
      "Timeout"
    )
  })
})
