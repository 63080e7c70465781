/**
 * What may be retried and when. The class of the error decides (see
 * `domain/error-table.ts`); the pause is full jitter, and `Retry-After` is
 * law: never earlier than asked, jitter on top, and longer than what is left
 * of the deadline means to stop waiting for this candidate.
 */
import { Context, Effect } from "effect"
import type { CompleteError } from "../domain/errors.ts"
import type { Deadline } from "./deadline.ts"

/** What to do after a failure: wait `afterMs` and try the same candidate, go to the next one, or give the error to the caller. */
export type RetryDecision =
  | { readonly _tag: "Retry"; readonly afterMs: number }
  | { readonly _tag: "Next" }
  | { readonly _tag: "Stop" }

export class RetryPolicy extends Context.Service<
  RetryPolicy,
  {
    /** Decide about `error` after `retry` retries (0 after the first try) on this candidate. */
    readonly decide: (error: CompleteError, retry: number, deadline: Deadline) => Effect.Effect<RetryDecision>
  }
>()("ballast/services/RetryPolicy") {}
