/**
 * What a key of Ballast's own looks like: `blst_<id>_<secret><checksum>`.
 *
 * - The id (12 characters) is public: it names the key in lists, logs and audit rows.
 * - The secret (32 characters, 160 bits) is shown once, when the key is made.
 * - The checksum (7 characters, CRC-32 of all before it) lets a typo, a cut or a
 *   key of somebody else's be refused without asking a store. It is no proof of anything.
 *
 * The prefix lets secret scanners find leaked keys, and the checksum keeps them
 * from false alarms; both after GitHub's token format
 * (https://github.blog/engineering/behind-githubs-new-authentication-token-formats/).
 */
import { Schema } from "effect"
import { Plan, TenantId } from "./caller.ts"

/** What a key may be used for. */
export const Scope = Schema.Literals(["chat", "embeddings", "models"])
export type Scope = typeof Scope.Type

/** Every scope there is. */
export const scopes: ReadonlyArray<Scope> = Scope.literals

/**
 * A key as everybody may see it: without its secret. Times are epoch ms.
 *
 * - `scopes`: what it may be used for
 * - `expiresAtMs`: from then on it is refused; `null`: never
 * - `revokedAtMs`: when it was revoked; `null`: it was not
 * - `rotatedTo`: the id of the key that was made to replace it
 */
export const KeyInfo = Schema.Struct({
  id: Schema.NonEmptyString,
  tenant: TenantId,
  plan: Plan,
  residency: Schema.NullOr(Schema.NonEmptyString),
  scopes: Schema.Array(Scope),
  createdAtMs: Schema.Int,
  expiresAtMs: Schema.NullOr(Schema.Int),
  revokedAtMs: Schema.NullOr(Schema.Int),
  rotatedTo: Schema.NullOr(Schema.NonEmptyString)
})
export interface KeyInfo extends Schema.Schema.Type<typeof KeyInfo> {}

/** Crockford's base 32 in lower case: no letter that is taken for a digit. 32 characters, 5 bits each. */
const alphabet = "0123456789abcdefghjkmnpqrstvwxyz"

const idLength = 12
const secretLength = 32
const checksumLength = 7

/** Random bytes that {@link format} needs: 12 for the id, 32 for the secret. */
export const randomBytes = idLength + secretLength

const prefix = "blst_"
const idEnd = prefix.length + idLength
const bodyLength = idEnd + 1 + secretLength
const wholeLength = bodyLength + checksumLength
const shape = new RegExp(`^${prefix}[${alphabet}]{${idLength}}_[${alphabet}]{${secretLength + checksumLength}}$`, "u")

/** A key and its id from {@link randomBytes} random bytes, five bits of each. */
export const format = (bytes: Uint8Array): { readonly id: string; readonly key: string } => {
  let text = ""
  for (const byte of bytes.subarray(0, randomBytes)) text += alphabet.charAt(byte & 31)
  const id = text.slice(0, idLength)
  const body = `${prefix}${id}_${text.slice(idLength)}`
  return { id, key: body + checksum(body) }
}

/** Whether `key` has a key's shape and its checksum is right. Says nothing of whether there is such a key. */
export const isWellFormed = (key: string): boolean =>
  key.length === wholeLength && shape.test(key) && checksum(key.slice(0, bodyLength)) === key.slice(bodyLength)

/** The public id inside a key; of a text that is no key, some other text, or an empty one. */
export const idOf = (key: string): string =>
  key.length === wholeLength && key.startsWith(prefix) ? key.slice(prefix.length, idEnd) : ""

/** Whether `text` has the shape of a key's id. */
export const isId = (text: string): boolean =>
  text.length === idLength && text.split("").every((character) => alphabet.includes(character))

/** CRC-32 (IEEE 802.3) of an ASCII text as seven characters; a change of up to four neighbouring bytes always shows. */
const checksum = (text: string): string => {
  let crc = 0xff_ff_ff_ff
  for (let i = 0; i < text.length; i++) {
    crc ^= text.charCodeAt(i)
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xed_b8_83_20 : 0)
  }
  let rest = (crc ^ 0xff_ff_ff_ff) >>> 0
  let out = ""
  for (let i = 0; i < checksumLength; i++) {
    out = alphabet.charAt(rest % 32) + out
    rest = Math.floor(rest / 32)
  }
  return out
}
