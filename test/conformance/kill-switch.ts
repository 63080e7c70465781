/** What every layer of the KillSwitch port must do. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Layer } from "effect"
import * as Caller from "../../src/domain/caller.ts"
import { KillSwitch } from "../../src/services/kill-switch.ts"
import type { Switch } from "../../src/services/kill-switch.ts"
import * as RequestRecord from "../../src/services/request-record.ts"

const request = { tenant: "acme", feature: "chat", model: "small" }

export const suite = (name: string, layer: (initial?: ReadonlyArray<Switch>) => Layer.Layer<KillSwitch>): void => {
  const effect = <A, E>(title: string, test: Effect.Effect<A, E, KillSwitch>) =>
    it.effect(title, () => Effect.provide(test, layer()))

  describe(`KillSwitch: ${name}`, () => {
    effect(
      "lets everything through while nothing is off",
      Effect.gen(function* () {
        const switches = yield* KillSwitch
        yield* switches.check(request)
        yield* switches.checkProvider("openai")
        assert.deepStrictEqual(yield* switches.list, [])
      })
    )

    for (const [kind, target] of [
      ["all", ""],
      ["tenant", "acme"],
      ["feature", "chat"],
      ["model", "small"]
    ] as const) {
      effect(
        `refuses by ${kind}, until it is on again`,
        Effect.gen(function* () {
          const switches = yield* KillSwitch
          yield* switches.off(kind, target, "incident 12")
          const { reason } = yield* Effect.flip(switches.check(request))
          assert.deepStrictEqual(reason, { _tag: "Off", kind, target, note: "incident 12" })
          if (kind !== "all") {
            yield* switches.check({ tenant: "other", feature: "other", model: "other" })
          }
          yield* switches.checkProvider(target)
          yield* switches.on(kind, target)
          yield* switches.check(request)
        })
      )
    }

    effect(
      "a provider that is off stops only that provider",
      Effect.gen(function* () {
        const switches = yield* KillSwitch
        yield* switches.off("provider", "openai")
        assert.strictEqual((yield* Effect.flip(switches.checkProvider("openai"))).reason.kind, "provider")
        yield* switches.checkProvider("anthropic")
        yield* switches.check({ tenant: "openai", feature: "openai", model: "openai" })
      })
    )

    it.effect("starts with the switches it is given; lists each once; errors carry the request's id", () =>
      Effect.gen(function* () {
        const switches = yield* KillSwitch
        yield* switches.off("model", "small", "again")
        assert.deepStrictEqual(yield* switches.list, [{ kind: "model", target: "small", note: "again" }])
        const record = RequestRecord.make({ id: "req-7", operation: "chat", caller: Caller.anonymous, startedAt: 0 })
        const error = yield* Effect.flip(
          Effect.provideService(switches.check(request), RequestRecord.CurrentRecord, record)
        )
        assert.strictEqual(error.requestId, "req-7")
      }).pipe(Effect.provide(layer([{ kind: "model", target: "small", note: undefined }])))
    )
  })
}
