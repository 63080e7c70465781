/**
 * The catalog from a list of models, as the configuration has them.
 */
import { Effect, Layer } from "effect"
import type { Model } from "../../domain/catalog.ts"
import { RequestError } from "../../domain/errors.ts"
import { Catalog } from "../../services/catalog.ts"
import { CurrentRecord } from "../../services/request-record.ts"

/** Aliases are looked up exactly; of two models with one alias the first counts. */
export const layer = (models: ReadonlyArray<Model>): Layer.Layer<Catalog> => {
  const byAlias = new Map<string, Model>()
  for (const model of models) if (!byAlias.has(model.alias)) byAlias.set(model.alias, model)
  return Layer.succeed(Catalog, {
    list: models,
    resolve: (alias, kind) => {
      const model = byAlias.get(alias)
      if (model?.kind === kind) return Effect.succeed(model)
      return Effect.flatMap(CurrentRecord, (record) =>
        Effect.fail(
          new RequestError({
            ...(record === undefined ? {} : { requestId: record.id }),
            reason:
              model === undefined
                ? { _tag: "UnknownModel", model: alias }
                : {
                    _tag: "WrongKind",
                    model: alias,
                    detail: `is ${article(model.kind)} model; ask for it where that is served.`
                  }
          })
        )
      )
    }
  })
}

const article = (kind: Model["kind"]) => (kind === "embedding" ? "an embedding" : "a chat")
