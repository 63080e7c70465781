/**
 * The keys of mode `store`: make, list, revoke, rotate. A key is shown once,
 * when it is made; what is kept is its SHA-256 alone. Every act and its audit
 * row are one transaction: what cannot be written down is not done.
 */
import { Context } from "effect"
import type { Effect, Redacted } from "effect"
import type { KeyInfo, Scope } from "../domain/api-key.ts"
import type { Plan, TenantId } from "../domain/caller.ts"
import type { StoreError } from "../domain/errors.ts"

/** Who acts (`cli:NAME`, `admin-api` …), and why. */
export interface Act {
  readonly actor: string
  readonly reason: string
}

/**
 * What a new key is to be. Plan and residency are the tenant's: given for a
 * tenant that has others already, they change it, and with it all of its keys;
 * where missing, the tenant's own stay (`standard` and none for a new tenant).
 */
export interface KeyRequest extends Act {
  readonly tenant: TenantId
  readonly plan?: Plan | undefined
  readonly residency?: string | undefined
  readonly scopes: ReadonlyArray<Scope>
  /** How long it is good for, in ms by the store's clock; for ever where missing. */
  readonly lifeMs?: number | undefined
}

/** A key that was just made: the only time that its text is known. */
export interface NewKey {
  readonly key: Redacted.Redacted<string>
  readonly info: KeyInfo
}

/** Fails with `NotFound` for an id that does not exist, and `Conflict` for a key that is revoked or expired already. */
export class Keys extends Context.Service<
  Keys,
  {
    readonly create: (request: KeyRequest) => Effect.Effect<NewKey, StoreError>
    /** All keys of a tenant, or of all tenants, newest first, the dead ones too. */
    readonly list: (tenant?: TenantId) => Effect.Effect<ReadonlyArray<KeyInfo>, StoreError>
    /** Refuse it from now on, in every process within a second. Twice is once. */
    readonly revoke: (id: string, act: Act) => Effect.Effect<KeyInfo, StoreError>
    /**
     * A new key in place of `id`, with the same tenant, scopes and expiry. The
     * old one is good for another `overlapMs`, but no longer than it was before.
     */
    readonly rotate: (id: string, overlapMs: number, act: Act) => Effect.Effect<NewKey, StoreError>
  }
>()("ballast/services/Keys") {}
