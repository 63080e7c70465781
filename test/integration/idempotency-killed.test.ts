/**
 * A server that is killed in the middle of an answer under an
 * `Idempotency-Key`: the key is free for the others once its mark has run out.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { BallastConfigInput } from "../../src/domain/config-file.ts"
import { defaults } from "../../src/layers/idempotency/limits.ts"
import * as Child from "../support/child-server.ts"
import { eventually } from "../support/fault-server.ts"
import * as Client from "../support/raw-client.ts"
import * as Redis from "../support/redis.ts"
import * as Upstream from "../support/scripted-upstream.ts"
import * as Answers from "../support/upstream-answers.ts"

describe.skipIf(!Redis.available)("a server that is killed", () => {
  it.live(
    "frees the keys of its requests within their marks' life and a second",
    () =>
      Effect.gen(function* () {
        const { prefix, url } = yield* Redis.redis
        const upstream = yield* Upstream.start((call, index) => {
          if (index === 0) Answers.begin(call, [Answers.chunk({ content: "half" })])
          else Answers.stream(call, [Answers.chunk({ content: "whole" }), Answers.chunk({}, "stop")])
        })
        const config: BallastConfigInput = {
          stores: { redis: { url: { env: "REDIS" }, prefix, timeoutMs: 2_000 } },
          providers: { up: { kind: "openai-compatible", baseUrl: `${upstream.origin}/v1` } },
          models: [{ alias: "m", candidates: ["up/upstream-model"], price: { inputPerMillion: 1 } }]
        }
        const options = { config, env: { REDIS: url } }
        const [one, two] = yield* Effect.all([Child.start(options), Child.start(options)], { concurrency: 2 })
        const ask = {
          body: { model: "m", messages: [{ role: "user", content: "Hi" }], stream: true },
          headers: { "idempotency-key": "k" }
        }
        const first = yield* Client.open(one.url, ask)
        yield* first.until("half")
        assert.strictEqual((yield* Client.send(two.url, ask)).status, 409)
        const killedAt = performance.now()
        one.process.kill("SIGKILL")
        yield* one.exit
        const answer = yield* eventually(Client.send(two.url, ask), ({ status }) => status !== 409)
        const tookMs = performance.now() - killedAt
        assert.strictEqual(answer.status, 200, answer.text)
        assert.include(answer.text, "whole")
        assert.isAtMost(tookMs, defaults.leaseMs + 1_000)
        const again = yield* Client.send(two.url, ask)
        assert.strictEqual(again.headers["idempotency-replayed"], "true")
        assert.strictEqual(again.text, answer.text)
        assert.strictEqual(upstream.calls.length, 2)
      }),
    120_000
  )
})
