/**
 * Earlier answers that may be served when no live one can be had
 * (`stale-if-error` of RFC 5861, for completions).
 *
 * An answer belongs to whoever paid for it: the caller is an argument, because
 * its tenant has to be part of whatever an answer is found by. How alike two
 * requests must be, how old an answer may be, and which requests have none at
 * all (tools, personal data) is the layer's to decide.
 */
import { Context } from "effect"
import type { Effect } from "effect"
import type { Caller } from "../domain/caller.ts"
import type { Candidate } from "../domain/candidate.ts"
import type { ChatRequest } from "../domain/chat.ts"
import type { WholeEvent } from "./provider.ts"

/** An earlier answer, who gave it at the time, and how old it is. */
export interface StaleAnswer {
  readonly answer: WholeEvent
  readonly candidate: Candidate
  readonly ageMs: number
}

export class StaleAnswers extends Context.Service<
  StaleAnswers,
  {
    /**
     * An earlier answer to `chat` that `caller` may have; `undefined` where
     * there is none. Never fails: a store that does not answer has none. Asked
     * only after a failure, and not waited for long.
     */
    readonly lookup: (caller: Caller, chat: ChatRequest) => Effect.Effect<StaleAnswer | undefined>
  }
>()("ballast/services/StaleAnswers") {}
