/** Where keys come from and what is kept of them: the system's randomness, and SHA-256. */
import { hash, randomBytes, timingSafeEqual } from "node:crypto"
import { Effect, Redacted } from "effect"
import * as ApiKey from "../../domain/api-key.ts"

/**
 * SHA-256 of a key, in 32 bytes. One round without a salt is enough for 160
 * random bits, which no dictionary holds; a slow hash would cost each request.
 */
export const digest = (key: string): Buffer => hash("sha256", key, "buffer")

/** Whether two digests are the same; the time it takes says nothing of where they differ. */
export const sameDigest = (one: Uint8Array, other: Uint8Array): boolean =>
  one.length === other.length && timingSafeEqual(one, other)

/** A key nobody has seen, its id, and what to keep of it. */
export interface Secret {
  readonly id: string
  readonly key: Redacted.Redacted<string>
  readonly digest: Buffer
}

/** Make a key from the system's cryptographic randomness. */
export const make: Effect.Effect<Secret> = Effect.sync(() => {
  const { id, key } = ApiKey.format(randomBytes(ApiKey.randomBytes))
  return { id, key: Redacted.make(key, { label: id }), digest: digest(key) }
})
