/** What every layer of the Idempotency port must do. */
import { randomUUID } from "node:crypto"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope } from "effect"
import { TenantId } from "../../src/domain/caller.ts"
import type { IdempotencyError } from "../../src/domain/errors.ts"
import type { Limits } from "../../src/layers/idempotency/limits.ts"
import type { Idempotency, IdempotentReplay, IdempotentRun } from "../../src/services/idempotency.ts"
import { until } from "../support/server.ts"

type Service = Idempotency["Service"]

/** Two processes with the same keys; where keys are one process's own, both are the same. */
export type Open = (limits: Partial<Limits>) => Effect.Effect<readonly [Service, Service], never, Scope.Scope>

/** What came of a `begin`. A run is held by a scope of its own. */
export interface Begun {
  readonly what: "Run" | "Replay" | IdempotencyError["reason"]["_tag"]
  readonly run: IdempotentRun | undefined
  readonly replay: IdempotentReplay | undefined
  readonly error: IdempotencyError | undefined
  readonly close: Effect.Effect<void>
}

const acme = TenantId.make("acme")

export const begin = (service: Service, key: string, fingerprint = "f", tenant = acme): Effect.Effect<Begun> =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    const result = yield* Effect.result(Scope.provide(service.begin(tenant, key, fingerprint), scope))
    const close = Scope.close(scope, Exit.void)
    const none = { run: undefined, replay: undefined, error: undefined, close }
    if (result._tag === "Failure") return { ...none, what: result.failure.reason._tag, error: result.failure }
    const found = result.success
    return found._tag === "Run" ? { ...none, what: "Run", run: found } : { ...none, what: "Replay", replay: found }
  })

/** {@link begin}, once what runs has come to its end: nobody waits for a store to be told. */
export const settled = (...args: Parameters<typeof begin>): Effect.Effect<Begun> =>
  Effect.map(
    until(begin(...args), ({ what }) => what !== "InFlight"),
    ({ value }) => value
  )

/** Answer a run in pieces, and leave its scope. */
export const answer = (begun: Begun, pieces: ReadonlyArray<string> = ["one ", "two"]): Effect.Effect<void> =>
  Effect.suspend(() => {
    assert.strictEqual(begun.what, "Run")
    begun.run?.begin(200, ["content-type", "text/plain"])
    for (const piece of pieces) begun.run?.append(piece)
    begun.run?.complete()
    return begun.close
  })

export const textOf = (begun: Begun): string | undefined => begun.replay?.answer.body.join("")

/** Run the suite on a layer. */
export const suite = (name: string, open: Open): void => {
  const live = (
    title: string,
    test: (one: Service, two: Service, key: string) => Effect.Effect<void, never, Scope.Scope>,
    limits: Partial<Limits> = {}
  ) => it.live(title, () => Effect.flatMap(open(limits), ([one, two]) => test(one, two, randomUUID())))

  describe(`Idempotency: ${name}`, () => {
    live("runs the first, and gives its answer to all that come after it", (one, two, key) =>
      Effect.gen(function* () {
        yield* answer(yield* begin(one, key), ["data: é\n\n", "", "data: 🎈\n\n"])
        for (const service of [one, two, one]) {
          const again = yield* settled(service, key)
          assert.strictEqual(again.what, "Replay")
          assert.strictEqual(again.replay?.answer.status, 200)
          assert.deepStrictEqual(again.replay?.answer.headers, ["content-type", "text/plain"])
          assert.strictEqual(textOf(again), "data: é\n\ndata: 🎈\n\n")
        }
      })
    )

    live("keeps a long stream in its order", (one, two, key) =>
      Effect.gen(function* () {
        const pieces = Array.from({ length: 20_000 }, (_, at) => `piece ${at};`)
        yield* answer(yield* begin(one, key), pieces)
        assert.strictEqual(textOf(yield* settled(two, key)), pieces.join(""))
      })
    )

    live("refuses a second one while the first runs, wherever it comes", (one, two, key) =>
      Effect.gen(function* () {
        const first = yield* begin(one, key)
        for (const service of [one, two]) {
          const { error, what } = yield* begin(service, key)
          assert.strictEqual(what, "InFlight")
          const reason = error?.reason
          assert.isTrue(reason?._tag === "InFlight" && reason.retryAfterMs > 0 && reason.retryAfterMs <= 1_000)
        }
        yield* answer(first)
      })
    )

    live("lets exactly one of many run that come at once", (one, two, key) =>
      Effect.gen(function* () {
        const services = Array.from({ length: 20 }, (_, at) => (at % 2 === 0 ? one : two))
        const all = yield* Effect.forEach(services, (service) => begin(service, key), { concurrency: "unbounded" })
        assert.strictEqual(all.filter(({ what }) => what === "Run").length, 1)
        assert.strictEqual(all.filter(({ what }) => what === "InFlight").length, 19)
        // Whoever was refused frees nothing when it leaves.
        yield* Effect.forEach(
          all.filter(({ what }) => what !== "Run"),
          ({ close }) => close
        )
        assert.strictEqual((yield* begin(two, key)).what, "InFlight")
      })
    )

    live("refuses the key for another body, during the run and after it", (one, two, key) =>
      Effect.gen(function* () {
        const first = yield* begin(one, key)
        for (const service of [one, two]) assert.strictEqual((yield* begin(service, key, "other")).what, "OtherBody")
        yield* answer(first)
        assert.strictEqual((yield* settled(two, key)).what, "Replay")
        for (const service of [one, two]) assert.strictEqual((yield* begin(service, key, "other")).what, "OtherBody")
        // And the first body still has its answer.
        assert.strictEqual((yield* settled(two, key)).what, "Replay")
      })
    )

    live("a key is its tenant's own", (one, two, key) =>
      Effect.gen(function* () {
        yield* answer(yield* begin(one, key))
        const gold = yield* begin(two, key, "f", TenantId.make("gold"))
        yield* answer(gold, ["gold"])
        // A tenant's name and a key that read the same side by side are not the same.
        const shifted = yield* begin(two, `e${key}`, "f", TenantId.make("acm"))
        assert.strictEqual(shifted.what, "Run")
        assert.strictEqual(textOf(yield* settled(two, key)), "one two")
        assert.strictEqual(textOf(yield* settled(one, key, "f", TenantId.make("gold"))), "gold")
      })
    )

    live("is free again when the first one leaves without an answer", (one, two, key) =>
      Effect.gen(function* () {
        const first = yield* begin(one, key)
        first.run?.begin(200, [])
        first.run?.append("half")
        yield* first.close
        // With another body too: nothing has been answered.
        const { value: second } = yield* until(begin(two, key, "other"), ({ what }) => what === "Run")
        // The first one's late words change nothing.
        first.run?.append(" and more")
        first.run?.complete()
        yield* first.close
        yield* answer(second, ["second"])
        assert.strictEqual(textOf(yield* settled(one, key, "other")), "second")
      })
    )

    live("an answer stays as it was given", (one, two, key) =>
      Effect.gen(function* () {
        const first = yield* begin(one, key)
        yield* answer(first, ["once"])
        first.run?.append(" more")
        first.run?.begin(500, [])
        first.run?.complete()
        assert.strictEqual(textOf(yield* settled(two, key)), "once")
      })
    )

    live("a run that says nothing frees the key", (one, two, key) =>
      Effect.gen(function* () {
        const first = yield* begin(one, key)
        first.run?.complete()
        assert.strictEqual((yield* settled(two, key)).what, "Run")
      })
    )

    live(
      "keeps an answer up to its bound in bytes, and frees the key of a larger one once it has ended",
      (one, two, key) =>
        Effect.gen(function* () {
          const most = 100 - "content-typetext/plain".length
          const fits = yield* begin(one, key)
          yield* answer(fits, ["é".repeat(most / 2)])
          assert.strictEqual(textOf(yield* settled(two, key)), "é".repeat(most / 2))
          const large = yield* begin(one, `${key}-large`)
          large.run?.begin(200, ["content-type", "text/plain"])
          large.run?.append("é".repeat(most / 2))
          large.run?.append("!")
          assert.strictEqual((yield* begin(two, `${key}-large`)).what, "InFlight")
          large.run?.complete()
          assert.strictEqual((yield* settled(two, `${key}-large`)).what, "Run")
        }),
      { answerBytes: 100 }
    )

    live(
      "forgets an answer when its life is over",
      (one, two, key) =>
        Effect.gen(function* () {
          yield* answer(yield* begin(one, key))
          assert.strictEqual((yield* settled(two, key)).what, "Replay")
          const { value } = yield* until(begin(two, key), ({ what }) => what !== "Replay")
          assert.strictEqual(value.what, "Run")
        }),
      { lifeMs: 400 }
    )

    live("nothing is left of one that leaves while it asks", (one, two, key) =>
      Effect.gen(function* () {
        for (let turns = 0; turns < 8; turns++) {
          const asking = yield* Effect.forkChild(Effect.scoped(one.begin(acme, key, "f")), { startImmediately: true })
          for (let turn = 0; turn < turns; turn++) yield* Effect.yieldNow
          yield* Fiber.interrupt(asking)
          const next = yield* settled(two, key)
          assert.strictEqual(next.what, "Run")
          yield* next.close
        }
      })
    )
  })
}
