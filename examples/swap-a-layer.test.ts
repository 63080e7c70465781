/**
 * Testing your own code under Ballast: keep all of it, swap the one layer that
 * your test is about. Time is virtual, so hours of back-off take no time.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Stream } from "effect"
import { TestClock } from "effect/testing"
// In your own tests: from "ballast", "ballast/services/provider", "ballast/services/rate-limiter"
import { Ballast, Config, ProviderError, RateLimitError, collect, complete } from "../src/index.ts"
import type { ChatCompletion } from "../src/index.ts"
import { Provider } from "../src/services/provider.ts"
import * as RateLimiter from "../src/services/rate-limiter.ts"

/** The code under test: what your feature does with an answer. */
const title = (text: string) =>
  Effect.scoped(
    Effect.gen(function* () {
      const request = { model: "gpt-4o-mini", messages: [{ role: "user" as const, content: `A title for: ${text}` }] }
      const answer = yield* collect(yield* complete(request))
      return String(answer.choices[0]?.message["content"])
    })
  ).pipe(Effect.catchReason("RateLimitError", "Exceeded", () => Effect.succeed("Untitled")))

const answering = (content: string): ChatCompletion => ({
  id: "chatcmpl-1",
  object: "chat.completion",
  created: 0,
  model: "scripted",
  choices: [{ index: 0, message: { role: "assistant", content }, finish_reason: "stop" }]
})

const overTheLimit = new RateLimitError({
  reason: { _tag: "Exceeded", dimension: "user", unit: "requests", limit: 100, windowMs: 60_000, retryAfterMs: 1_000 }
})

describe("title", () => {
  it.effect("survives a provider that is overloaded, and waits as long as it was told to", () =>
    Effect.gen(function* () {
      let calls = 0
      // A provider that answers by script: the first call is refused, the second one served.
      const scripted = Layer.succeed(Provider, {
        open: (candidate) =>
          Effect.suspend(() => {
            const { provider } = candidate
            if (++calls === 1) {
              const reason = { _tag: "Overloaded" as const, detail: "full", retryAfterMs: 2_000 }
              return Effect.fail(new ProviderError({ provider, reason }))
            }
            const completion = answering("The Weight Below")
            return Effect.succeed({
              candidate,
              first: { _tag: "Whole" as const, completion, data: JSON.stringify(completion) },
              rest: Stream.empty,
              upstream: { remainingRequests: undefined, remainingTokens: undefined }
            })
          }),
        embed: () => Effect.die("not in this test")
      })

      // What is merged last wins: everything else is the real thing.
      const layer = Layer.merge(Ballast.layer(Config.defaultConfig), scripted)
      const fiber = yield* Effect.forkChild(Effect.provide(title("a story of a ship"), layer))

      yield* TestClock.adjust("1999 millis")
      assert.strictEqual(calls, 1)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(fiber), "The Weight Below")
      assert.strictEqual(calls, 2)
    })
  )

  it.effect("has a fallback for callers over their limit", () =>
    Effect.gen(function* () {
      // A limiter that always refuses.
      const exhausted = Layer.succeed(
        RateLimiter.RateLimiter,
        RateLimiter.make(() => () => Effect.fail(overTheLimit))
      )
      const layer = Layer.merge(Ballast.layer(Config.defaultConfig), exhausted)
      assert.strictEqual(yield* Effect.provide(title("anything"), layer), "Untitled")
    })
  )
})
