// The parts put together: a vendor in a few lines, headers, deadlines, and no call left behind by an interruption.
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Redacted, Scheduler, Stream } from "effect"
import * as TestClock from "effect/testing/TestClock"
import * as Auth from "../../../../src/layers/provider/auth.ts"
import * as Endpoint from "../../../../src/layers/provider/endpoint.ts"
import * as HttpUpstream from "../../../../src/layers/provider/http-upstream.ts"
import * as OpenAiProtocol from "../../../../src/layers/provider/openai-protocol.ts"
import * as Scripted from "../../../../src/layers/transport/scripted.ts"
import { Transport } from "../../../../src/services/transport.ts"
import { candidate, chunk, frame, openRequest } from "../../../support/upstream-call.ts"

const vendor = HttpUpstream.make({
  protocol: OpenAiProtocol.make(),
  endpoint: Endpoint.fromBaseUrl("https://vendor.example/api", { chat: "/chat", embeddings: "/embed" }),
  auth: Auth.header("x-vendor-key", Redacted.make("vendor-key")),
  headers: { "x-vendor-version": "7" }
})
const make = (script: Parameters<typeof Scripted.make>[0]) => {
  const scripted = Scripted.make(script)
  return Effect.map(Effect.provideService(vendor, Transport, scripted.transport), (upstream) => ({
    upstream,
    scripted
  }))
}

describe("http upstream", () => {
  it.effect("is a choice of protocol, endpoint and auth", () =>
    Effect.gen(function* () {
      const { scripted, upstream } = yield* make([Scripted.json({ choices: [] })])
      yield* Effect.scoped(upstream.open(candidate, openRequest()))
      const { headers, method, origin, path } = scripted.calls[0]!.request
      assert.strictEqual(`${method} ${origin}${path}`, "POST https://vendor.example/api/chat")
      assert.include(headers.join("|"), "x-vendor-key|vendor-key|x-vendor-version|7")
      assert.notInclude(headers, "traceparent")
    })
  )

  it.effect("reckons an HTTP date from the Clock, and starts nothing after the deadline", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(Date.parse("Sun, 06 Nov 1994 08:49:37 GMT"))
      const { scripted, upstream } = yield* make([
        Scripted.json({}, { status: 429, headers: { "retry-after": "Sun, 06 Nov 1994 08:49:40 GMT" } })
      ])
      const deadlineMs = Date.parse("Sun, 06 Nov 1994 08:49:38 GMT")
      const open = Effect.flip(Effect.scoped(upstream.open(candidate, openRequest({}, { deadlineMs }))))
      assert.deepInclude((yield* open).reason, { _tag: "RateLimited", retryAfterMs: 3_000 })
      yield* TestClock.adjust("1 second")
      assert.deepInclude((yield* open).reason, { _tag: "Timeout", phase: "total" })
      assert.strictEqual(scripted.calls.length, 1)
    })
  )

  it.effect("leaves no call open, wherever it is interrupted", () =>
    Effect.gen(function* () {
      const { scripted, upstream } = yield* make(() =>
        Scripted.sse([frame(chunk({ content: "a" })), frame(chunk({ content: "b" }))], { end: "hang" })
      )
      for (let ops = 3; ops <= 64; ops++) {
        const call = Effect.scoped(
          Effect.flatMap(upstream.open(candidate, openRequest({ stream: true })), (completion) =>
            Stream.runDrain(completion.rest)
          )
        )
        const fiber = yield* Effect.forkChild(Effect.provideService(call, Scheduler.MaxOpsBeforeYield, ops))
        for (let turn = 0; turn < ops % 11; turn++) yield* Effect.yieldNow
        yield* Fiber.interrupt(fiber)
      }
      assert.isAbove(scripted.calls.length, 20)
      assert.deepStrictEqual([...new Set(scripted.calls.map((call) => call.state))], ["aborted"])
    })
  )

  it.effect("does not hang on an error body that never ends: the caller's interruption aborts it", () =>
    Effect.gen(function* () {
      const { scripted, upstream } = yield* make([Scripted.json("{", { status: 500, end: "hang" })])
      const fiber = yield* Effect.forkChild(Effect.scoped(upstream.open(candidate, openRequest())), {
        startImmediately: true
      })
      assert.isUndefined(fiber.pollUnsafe())
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(scripted.calls[0]?.state, "aborted")
    })
  )
})
