import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Caller from "../../../../src/domain/caller.ts"
import type { Model } from "../../../../src/domain/catalog.ts"
import * as CatalogConfig from "../../../../src/layers/catalog/config.ts"
import { Catalog } from "../../../../src/services/catalog.ts"
import * as RequestRecord from "../../../../src/services/request-record.ts"

const model = (alias: string, kind: Model["kind"], provider = "openai"): Model => ({
  alias,
  kind,
  candidates: [{ provider, model: alias }],
  price: { input: 1, output: 2 },
  contextTokens: 1_000,
  maxOutputTokens: 100
})

const models = [model("small", "chat"), model("vectors", "embedding"), model("small", "chat", "second")]

const effect = <A, E>(title: string, test: Effect.Effect<A, E, Catalog>) =>
  it.effect(title, () => Effect.provide(test, CatalogConfig.layer(models)))

describe("Catalog: config", () => {
  effect(
    "resolves an alias of the right kind; of two with one alias the first counts",
    Effect.gen(function* () {
      const catalog = yield* Catalog
      assert.strictEqual(yield* catalog.resolve("small", "chat"), models[0])
      assert.strictEqual(yield* catalog.resolve("vectors", "embedding"), models[1])
      assert.deepStrictEqual(catalog.list, models)
    })
  )

  effect(
    "an unknown alias is UnknownModel, names of Object's own included",
    Effect.gen(function* () {
      const catalog = yield* Catalog
      for (const alias of ["", "SMALL", "constructor", "__proto__"]) {
        assert.deepStrictEqual((yield* Effect.flip(catalog.resolve(alias, "chat"))).reason, {
          _tag: "UnknownModel",
          model: alias
        })
      }
    })
  )

  effect(
    "an alias of the other kind is WrongKind, with the request's id",
    Effect.gen(function* () {
      const catalog = yield* Catalog
      const record = RequestRecord.make({ id: "req-7", operation: "chat", caller: Caller.anonymous, startedAt: 0 })
      for (const [alias, kind] of [
        ["vectors", "chat"],
        ["small", "embedding"]
      ] as const) {
        const error = yield* Effect.flip(
          Effect.provideService(catalog.resolve(alias, kind), RequestRecord.CurrentRecord, record)
        )
        assert.strictEqual(error.reason._tag, "WrongKind")
        assert.strictEqual(error.requestId, "req-7")
      }
    })
  )
})
