/**
 * From what is kept of a key to whether the key is good: the same for every
 * place that keys are kept in.
 */
import { Exit } from "effect"
import { AuthError } from "../../domain/errors.ts"
import type { Tenant } from "../../services/tenants.ts"
import { sameDigest } from "../keys/secret.ts"

/**
 * What is kept of one key.
 *
 * - `digest`: SHA-256 of the whole key
 * - `revoked`: whether it was revoked
 * - `endsAtMs`: from then on, by this process's clock, it has expired; `Infinity`: never
 * - `granted`: the answer while it is good, made once
 */
export interface KeyRow {
  readonly digest: Uint8Array
  readonly tenant: Tenant
  readonly revoked: boolean
  readonly endsAtMs: number
  readonly granted: Exit.Exit<Tenant>
}

/** A row with its answer. */
export const row = (fields: Omit<KeyRow, "granted">): KeyRow => ({ ...fields, granted: Exit.succeed(fields.tenant) })

/** No key was sent. */
export const missingKey = (): Exit.Exit<never, AuthError> =>
  Exit.fail(new AuthError({ reason: { _tag: "MissingKey" } }))

/** Nobody knows this key. */
export const unknownKey = (): Exit.Exit<never, AuthError> =>
  Exit.fail(new AuthError({ reason: { _tag: "UnknownKey" } }))

/**
 * Whether the key with this digest is the row's, and good at `nowMs`. Whether a
 * key was revoked or has expired is told to those alone who have the whole key.
 */
export const verdict = (found: KeyRow | undefined, digest: Uint8Array, nowMs: number): Exit.Exit<Tenant, AuthError> => {
  if (found === undefined || !sameDigest(found.digest, digest)) return unknownKey()
  if (found.revoked) return Exit.fail(new AuthError({ reason: { _tag: "RevokedKey" } }))
  if (nowMs >= found.endsAtMs) return Exit.fail(new AuthError({ reason: { _tag: "ExpiredKey" } }))
  return found.granted
}
