/**
 * Whose key is this: from a bearer key to a tenant with its plan.
 */
import { Context, Effect } from "effect"
import type { AuthError } from "../domain/errors.ts"
import type { Plan, TenantId } from "../domain/caller.ts"

/** What a key stands for. */
export interface Tenant {
  readonly id: TenantId
  readonly plan: Plan
  /** What the key may be used for: `chat`, `embeddings`, `models`; all of it where missing. */
  readonly scopes?: ReadonlyArray<string> | undefined
  /** Where the tenant's requests may be served, e.g. `eu`; anywhere where missing. */
  readonly residency?: string | undefined
  /** Id of the key, for audit and logs; never the key. */
  readonly keyId?: string | undefined
}

export class Tenants extends Context.Service<
  Tenants,
  {
    /** The tenant of `key` (`undefined`: none was sent). Compared in constant time. */
    readonly identify: (key: string | undefined) => Effect.Effect<Tenant, AuthError>
  }
>()("ballast/services/Tenants") {}
