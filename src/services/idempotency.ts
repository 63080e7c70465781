/**
 * One request, one effect, however often it is sent: requests that carry an
 * `Idempotency-Key` run once for each tenant and key, and whoever sends the
 * same again within a day gets the same answer
 * (draft-ietf-httpapi-idempotency-key-header).
 */
import { Context } from "effect"
import type { Effect, Scope, Stream } from "effect"
import type { TenantId } from "../domain/caller.ts"
import type { IdempotencyError } from "../domain/errors.ts"

/** An answer as it was given. `body` is in the pieces it was written in; together they are the whole. */
export interface StoredAnswer {
  readonly status: number
  readonly headers: ReadonlyArray<string>
  readonly body: Stream.Stream<string>
}

/** The key is this request's: it runs, and says what it answers. Its scope closing before `complete` frees the key. */
export interface IdempotentRun {
  readonly _tag: "Run"
  /** The answer's head. Nobody waits for the store. */
  readonly begin: (status: number, headers: ReadonlyArray<string>) => void
  /** One piece of the body. Nobody waits for the store. */
  readonly append: (data: string) => void
  /** The answer is whole: keep it. */
  readonly complete: () => void
}

/** The key has been used for the same request: this is its answer. */
export interface IdempotentReplay {
  readonly _tag: "Replay"
  readonly answer: StoredAnswer
}

export class Idempotency extends Context.Service<
  Idempotency,
  {
    /**
     * Begin a request under a tenant's key. `fingerprint` is a hash of the route
     * and the body. Fails with `InFlight` while another with the same key runs,
     * and with `OtherBody` where the key was used for another fingerprint.
     */
    readonly begin: (
      tenant: TenantId,
      key: string,
      fingerprint: string
    ) => Effect.Effect<IdempotentRun | IdempotentReplay, IdempotencyError, Scope.Scope>
  }
>()("ballast/services/Idempotency") {}
