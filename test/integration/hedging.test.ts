/**
 * Hedging over real sockets: the answer of the second call reaches the client,
 * and the connection of the one that lost is closed before 100 ms have passed.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { BallastConfigInput } from "../../src/domain/config-file.ts"
import * as FaultServer from "../support/fault-server.ts"
import * as Client from "../support/raw-client.ts"
import * as Upstream from "../support/scripted-upstream.ts"
import type { ScriptedCall } from "../support/scripted-upstream.ts"
import * as Answers from "../support/upstream-answers.ts"

/** What is promised, and what a busy machine may make of a single case. */
const promisedMs = 100
const jitterMs = 250

const learned = 30

const policies: NonNullable<BallastConfigInput["policies"]> = {
  bulkhead: { maxInFlight: 4, maxQueue: 32 },
  rateLimits: { user: { requestsPerMinute: null }, ip: { requestsPerMinute: null } },
  hedge: { enabled: true, minimumSamples: learned, maxExtraCost: 1 }
}

const ask = { body: { model: "m", stream: true, messages: [{ role: "user", content: "Hi" }] } }

const quick = (call: ScriptedCall): void =>
  Answers.stream(call, [Answers.chunk({ role: "assistant", content: "hello" }), Answers.usageChunk])

/** A server that has seen how fast its provider usually is; from then on calls go as `then` says, counted from 0. */
const start = (then: (call: ScriptedCall, index: number) => void) =>
  Effect.gen(function* () {
    const upstream = yield* Upstream.start((call, index) =>
      index < learned ? quick(call) : then(call, index - learned)
    )
    const server = yield* FaultServer.start(FaultServer.upstreamAt(upstream.origin, { policies }))
    for (let i = 0; i < learned; i++) {
      const { status, text } = yield* Client.send(server.url, ask)
      assert.strictEqual(status, 200, text)
      yield* upstream.nextCall
    }
    return { server, upstream }
  })

describe("hedging over real sockets", { timeout: 20_000 }, () => {
  for (const [when, slow] of [
    ["before its headers", () => {}],
    ["before its first token", (call: ScriptedCall) => Answers.begin(call, [])]
  ] as const) {
    it.live(`a call that hangs ${when} is asked once more, and closed as soon as the second answers`, () =>
      Effect.gen(function* () {
        let answeredAt = Infinity
        const { server, upstream } = yield* start((call, index) => {
          if (index === 0) return slow(call)
          quick(call)
          answeredAt = performance.now()
        })
        const { status, text } = yield* Client.send(server.url, ask)
        assert.strictEqual(status, 200)
        assert.include(text, "hello")
        assert.include(text, "[DONE]")
        const closedAt = yield* upstream.nextClose
        assert.isAtMost(closedAt - answeredAt, jitterMs, `${promisedMs} ms are promised`)
        assert.strictEqual(upstream.calls.length, learned + 2)
        yield* FaultServer.atRest(server)
        assert.strictEqual(yield* server.metric('llm_hedges_total{provider="up",outcome="won"'), 1)
        assert.strictEqual(
          yield* server.metric('llm_attempts_total{provider="up",model="upstream-model",outcome="cancelled"'),
          1
        )
      })
    )
  }

  it.live("a client that leaves while both calls hang: both are closed, and everything is back", () =>
    Effect.gen(function* () {
      let healthy = false
      const { server, upstream } = yield* start((call) => (healthy ? quick(call) : undefined))
      for (let i = 0; i < 5; i++) {
        const call = yield* Client.open(server.url, ask)
        yield* upstream.nextCall
        yield* upstream.nextCall
        const leftAt = yield* call.leave
        assert.isAtMost((yield* upstream.nextClose) - leftAt, jitterMs)
        assert.isAtMost((yield* upstream.nextClose) - leftAt, jitterMs)
        yield* FaultServer.atRest(server)
      }
      healthy = true
      // As many at once as there are places: none was lost.
      const answers = yield* Effect.all(
        Array.from({ length: 4 }, () => Client.send(server.url, ask)),
        { concurrency: "unbounded" }
      )
      for (const { status, text } of answers) assert.strictEqual(status, 200, text)
      yield* FaultServer.atRest(server)
    })
  )
})
