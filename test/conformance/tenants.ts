/** What every layer of the Tenants port must do, wherever its keys come from. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit } from "effect"
import type { Layer } from "effect"
import { Tenants } from "../../src/services/tenants.ts"

/** Two keys of two tenants that the layer under test knows. */
export interface Known {
  readonly acme: string
  readonly gold: string
}

/**
 * - `layer`: Tenants, and whatever `keys` needs
 * - `keys`: the key of tenant `acme`, plan standard, and that of `gold`, plan premium
 */
export const tenants = <R, E>(
  name: string,
  layer: Layer.Layer<R | Tenants, E>,
  keys: Effect.Effect<Known, unknown, R | Tenants>
) => {
  const live = <E2>(
    title: string,
    test: (known: Known, port: Tenants["Service"]) => Effect.Effect<void, E2, R | Tenants>
  ) =>
    it.live(title, () =>
      Effect.gen(function* () {
        yield* test(yield* keys, yield* Tenants)
      }).pipe(Effect.provide(layer))
    )

  describe(`Tenants: ${name}`, () => {
    live("each key is its own tenant's, with its plan", ({ acme, gold }, port) =>
      Effect.gen(function* () {
        const one = yield* port.identify(acme)
        assert.deepStrictEqual([one.id, one.plan], ["acme", "standard"])
        const two = yield* port.identify(gold)
        assert.deepStrictEqual([two.id, two.plan], ["gold", "premium"])
      })
    )

    live("answers at once from the second time on", ({ acme }, port) =>
      Effect.gen(function* () {
        yield* port.identify(acme)
        const again = port.identify(acme)
        assert.isTrue(Exit.isExit(again), "a known key needs no fiber")
        assert.strictEqual((yield* again).id, "acme")
      })
    )

    live("refuses what is not exactly a key, and tells no key in the error", ({ acme, gold }, port) =>
      Effect.gen(function* () {
        const flipped = (key: string) => `${key.slice(0, -1)}${key.endsWith("0") ? "1" : "0"}`
        const crossed = acme.slice(0, 20) + gold.slice(20)
        const wrong = [
          flipped(acme),
          ` ${acme}`,
          `${acme} `,
          `${acme}\n`,
          acme.slice(0, -1),
          acme.toUpperCase(),
          crossed,
          "blst_",
          "x".repeat(100_000),
          "\u0000",
          "sk-\ud800",
          "'; drop table api_keys; --"
        ]
        for (const key of wrong) {
          const error = yield* Effect.flip(port.identify(key))
          assert.strictEqual(error.reason._tag, "UnknownKey", key.slice(0, 80))
          assert.notInclude(JSON.stringify(error), key)
          assert.notInclude(error.message, key)
        }
      })
    )

    live("no key at all is a reason of its own", (_, port) =>
      Effect.gen(function* () {
        for (const key of [undefined, ""]) {
          assert.strictEqual((yield* Effect.flip(port.identify(key))).reason._tag, "MissingKey")
        }
      })
    )
  })
}
