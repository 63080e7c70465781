import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import * as Caller from "../../../../src/domain/caller.ts"
import { Entries } from "../../../../src/layers/idempotency/entries.ts"
import { defaults } from "../../../../src/layers/idempotency/limits.ts"
import * as Memory from "../../../../src/layers/idempotency/memory.ts"
import * as Idempotent from "../../../../src/programs/server/idempotent.ts"
import type { Exchange as Port } from "../../../../src/services/exchange.ts"
import { degrade, make } from "../../../../src/services/request-record.ts"
import { entries as errors } from "../../../support/error-samples.ts"
import * as Exchange from "../../../support/exchange.ts"

const record = () => make({ id: "req_1", operation: "chat", caller: Caller.make("acme"), startedAt: 1_000 })
const now = () => 1_010
const service = (answerBytes = 1_000) => {
  const limits = { ...defaults, answerBytes }
  return Memory.make(new Entries(limits), limits, now)
}

/** Begin under a key in a scope of its own. */
const enter = (idempotency: ReturnType<typeof service>, key = "k", body = "{}", of = record()) =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    const { exchange, sent } = Exchange.make({ body })
    const entered = yield* Idempotent.enter(idempotency, key, exchange, of, body, scope)
    return { entered, sent, exchange, leave: Scope.close(scope, Exit.void) }
  })

/** Begin, and do `act` with the exchange that is written down. */
const run = (idempotency: ReturnType<typeof service>, act: (to: Port) => void, of = record()) =>
  Effect.gen(function* () {
    const { entered, leave, sent } = yield* enter(idempotency, "k", "{}", of)
    if (entered._tag === "Replay") return assert.fail("not the first")
    act(entered.exchange)
    yield* leave
    return sent
  })

const replayOf = (idempotency: ReturnType<typeof service>, full?: (write: number) => boolean) =>
  Effect.gen(function* () {
    const { entered } = yield* enter(idempotency)
    if (entered._tag === "Run") return undefined
    const { exchange, sent } = Exchange.make(full === undefined ? {} : { full })
    yield* Idempotent.replay(exchange, record(), now, entered.answer)
    return sent
  })

const head = (type = "application/json") => [
  "x-request-id",
  "req_old",
  "x-ratelimit-remaining-requests",
  "7",
  "x-llm-cost-usd",
  "0.1",
  "retry-after",
  "3",
  "content-type",
  type,
  "x-llm-model",
  "m",
  "x-llm-answer",
  "full"
]

describe("a request under a key", () => {
  it.effect("is sent as it is and kept without what belongs to the one request", () =>
    Effect.gen(function* () {
      const idempotency = service()
      const headers = head()
      const sent = yield* run(idempotency, (to) => to.respond(200, headers, "{1}"))
      assert.strictEqual(sent.text, "{1}")
      assert.strictEqual(sent.headers["x-request-id"], "req_old")
      const again = yield* replayOf(idempotency)
      assert.strictEqual(again?.status, 200)
      assert.strictEqual(again?.text, "{1}")
      assert.deepStrictEqual(again?.headers, {
        "x-request-id": "req_1",
        "openai-processing-ms": "10",
        "content-type": "application/json",
        "x-llm-model": "m",
        "x-llm-answer": "full",
        "idempotency-replayed": "true"
      })
    })
  )

  it.effect("bytes are kept as the text they are, and not where they are none", () =>
    Effect.gen(function* () {
      const idempotency = service()
      yield* run(idempotency, (to) => to.respond(200, head(), new TextEncoder().encode("é")))
      assert.strictEqual((yield* replayOf(idempotency))?.text, "é")
      const other = service()
      const sent = yield* run(other, (to) => to.respond(200, head(), new Uint8Array([0xff, 0xfe])))
      assert.isTrue(sent.ended)
      assert.isUndefined(yield* replayOf(other))
    })
  )

  it.effect("a stream is kept when it has ended, and given again at the client's speed", () =>
    Effect.gen(function* () {
      const idempotency = service(100_000)
      const piece = `data: ${"x".repeat(20_000)}\n\n`
      yield* run(idempotency, (to) => {
        to.begin(200, head("text/event-stream; charset=utf-8"))
        to.write(piece)
        to.write(piece)
        to.write("data: [DONE]\n\n")
        assert.isTrue(to.begun())
        to.end()
      })
      const again = yield* replayOf(idempotency, (write) => write === 2)
      assert.strictEqual(again?.text, `${piece}${piece}data: [DONE]\n\n`)
      assert.deepStrictEqual([again?.writes.length, again?.waits, again?.ended], [3, 1, true])
    })
  )

  it.effect("a stream that has not ended, is too long or is no whole answer frees the key", () =>
    Effect.gen(function* () {
      const idempotency = service()
      const begin = (to: Port) => to.begin(200, head("text/event-stream"))
      yield* run(idempotency, (to) => {
        begin(to)
        to.write("half")
      })
      assert.isUndefined(yield* replayOf(idempotency))
      const long = service()
      const sent = yield* run(long, (to) => {
        begin(to)
        to.write("x".repeat(2_000))
        to.end()
      })
      assert.strictEqual(sent.text.length, 2_000)
      assert.isUndefined(yield* replayOf(long))
      for (const rung of ["partial", "stale"] as const) {
        const lesser = service()
        const of = record()
        yield* run(
          lesser,
          (to) => {
            degrade(of, rung, "ProviderError.Timeout")
            to.respond(200, head(), "{}")
          },
          of
        )
        assert.isUndefined(yield* replayOf(lesser), rung)
      }
    })
  )

  it.effect("the same path, method and body are the same request, and no other", () =>
    Effect.gen(function* () {
      const idempotency = service()
      yield* run(idempotency, (to) => to.respond(200, head(), "{}"))
      assert.strictEqual((yield* enter(idempotency)).entered._tag, "Replay")
      const other = yield* Effect.flip(enter(idempotency, "k", "{ }"))
      assert.strictEqual(other.reason._tag, "OtherBody")
      const { exchange } = Exchange.make({ body: "{}" })
      for (const changed of [
        { ...exchange, path: "/v1/embeddings" },
        { ...exchange, method: "PUT" }
      ]) {
        const entered = Idempotent.enter(idempotency, "k", changed, record(), "{}", yield* Effect.scope)
        assert.strictEqual((yield* Effect.flip(entered)).reason._tag, "OtherBody")
      }
    })
  )

  it.effect("a key is 1 to 255 visible ASCII characters", () =>
    Effect.gen(function* () {
      const idempotency = service()
      for (const key of ["", "a b", "a, b", "é", "\u007f", "k".repeat(256)]) {
        const error = yield* Effect.flip(enter(idempotency, key))
        assert.strictEqual(error.reason._tag, "InvalidKey", key)
      }
      for (const key of ["!", "~", `"quoted"`, "k".repeat(255)]) {
        assert.strictEqual((yield* enter(idempotency, key)).entered._tag, "Run", key)
      }
    })
  )

  it("only refusals that lie in the request itself are final", () => {
    const final = errors.filter(([, error]) => Idempotent.isFinal(error)).map(([key]) => key)
    assert.sameMembers(final, [
      "RequestError.InvalidField",
      "RequestError.WrongKind",
      "RequestError.ContextTooLong",
      "ProviderError.BadRequest",
      "ProviderError.TooLarge"
    ])
  })
})
