/**
 * One request, one effect, however often it is sent: requests that carry an
 * `Idempotency-Key` run once for each tenant and key, and whoever sends the
 * same again within a day gets the same answer
 * (draft-ietf-httpapi-idempotency-key-header).
 */
import { Context } from "effect"
import type { Effect, Scope } from "effect"
import type { TenantId } from "../domain/caller.ts"
import type { IdempotencyError } from "../domain/errors.ts"

/** An answer as it was given. `body` is in pieces, each a part of what was written; together they are the whole. */
export interface StoredAnswer {
  readonly status: number
  /** Name, value, name, value … */
  readonly headers: ReadonlyArray<string>
  readonly body: ReadonlyArray<string>
}

/**
 * The key is this request's: it runs, and says what it answers. Its scope
 * closing before `complete` frees the key. Its methods act at once; nobody
 * waits for a store.
 */
export interface IdempotentRun {
  readonly _tag: "Run"
  /** The answer's head. */
  readonly begin: (status: number, headers: ReadonlyArray<string>) => void
  /** The next piece of the body. Once the answer is too large to be kept, pieces are dropped. */
  readonly append: (data: string) => void
  /**
   * The answer is whole: keep it for a day. One that is too large to be kept
   * frees the key instead; so does none at all. Where another run has the key
   * by now (this one's process slept longer than its mark lives), nothing happens.
   */
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
     * and the body. Fails with `OtherBody` where the key is used for another
     * fingerprint, and with `InFlight` while a request with the same one runs.
     * A store that is away fails nothing: what this process knows decides then.
     */
    readonly begin: (
      tenant: TenantId,
      key: string,
      fingerprint: string
    ) => Effect.Effect<IdempotentRun | IdempotentReplay, IdempotencyError, Scope.Scope>
  }
>()("ballast/services/Idempotency") {}
