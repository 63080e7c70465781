/**
 * Whether the stores can be used: one place that every layer over a store
 * reports to and asks before it waits, so that a store that is down costs each
 * request nothing, and is said once, clearly, when it goes and when it is back.
 */
import { Context } from "effect"
import type { Effect, Stream } from "effect"

/** The stores there are. */
export type StoreName = "redis" | "postgres"

/** A change. Times are epoch ms. */
export interface StoreChange {
  readonly store: StoreName
  readonly up: boolean
  readonly atMs: number
  readonly detail: string
}

export class StoreHealth extends Context.Service<
  StoreHealth,
  {
    /** Whether `store` may be asked now. False while it is known to be down; now and then true, as a probe. */
    readonly usable: (store: StoreName) => boolean
    /** Whether `store` is known to be down. */
    readonly down: (store: StoreName) => boolean
    /** It answered. */
    readonly ok: (store: StoreName) => void
    /** It did not, for a reason of its own (no connection, no answer in time); a wrong question does not count. */
    readonly failed: (store: StoreName, detail: string) => void
    /** Each change from now on. */
    readonly changes: Stream.Stream<StoreChange>
    /** Each store that was ever reported, with its state. */
    readonly states: Effect.Effect<ReadonlyArray<StoreChange>>
  }
>()("ballast/services/StoreHealth") {}
