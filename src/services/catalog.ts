/**
 * The models a caller may name, with prices, limits and the upstreams behind them.
 */
import { Context, Effect } from "effect"
import type { Model } from "../domain/catalog.ts"
import type { RequestError } from "../domain/errors.ts"

export class Catalog extends Context.Service<
  Catalog,
  {
    /** The entry of `alias`; `UnknownModel` where there is none, `WrongKind` where it serves something else. */
    readonly resolve: (alias: string, kind: Model["kind"]) => Effect.Effect<Model, RequestError>
    /** All entries in the order of the configuration. */
    readonly list: ReadonlyArray<Model>
  }
>()("ballast/services/Catalog") {}
