/**
 * What may stand in for a full answer, for whom: the rules of the brownout
 * ladder (`domain/brownout.ts`). The steps themselves are `programs/ladder.ts`.
 *
 * Its answers are plain values, for they are asked for with every call.
 */
import { Context } from "effect"
import type { RefusalText, ShorterPolicy } from "../domain/brownout.ts"
import type { Caller } from "../domain/caller.ts"
import type { Model } from "../domain/catalog.ts"

export class Brownout extends Context.Service<
  Brownout,
  {
    /** The model to ask when none of `model`'s candidates can answer; `undefined` where there is none. */
    readonly smaller: (model: Model, caller: Caller) => Model | undefined
    /** When answers are shortened, and how far; `undefined` where never. */
    readonly shorter: ShorterPolicy | undefined
    /** Whether `caller` gets an answer that breaks off as far as it came, instead of an error. */
    readonly partial: (caller: Caller) => boolean
    /** The operator's words to whoever is refused. */
    readonly refusal: RefusalText
  }
>()("ballast/services/Brownout") {}
