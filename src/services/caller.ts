/**
 * Who asks, as a reference: the server sets it from the key, an embedding
 * program sets it with `Effect.provideService(CurrentCaller, …)`.
 */
import { Context } from "effect"
import { anonymous } from "../domain/caller.ts"
import type { Caller } from "../domain/caller.ts"

/** The caller of the current request; `anonymous` where nobody said. */
export const CurrentCaller = Context.Reference<Caller>("ballast/services/CurrentCaller", {
  defaultValue: () => anonymous
})
