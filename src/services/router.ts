/**
 * Which upstreams may answer this request, best first. The loop in `complete`
 * tries them in this order.
 */
import { Context, Effect } from "effect"
import type { Caller } from "../domain/caller.ts"
import type { Candidate } from "../domain/candidate.ts"
import type { Model } from "../domain/catalog.ts"

export class Router extends Context.Service<
  Router,
  {
    /** Candidates for one request on `model`, never empty. */
    readonly route: (model: Model, caller: Caller) => Effect.Effect<readonly [Candidate, ...Array<Candidate>]>
  }
>()("ballast/services/Router") {}
