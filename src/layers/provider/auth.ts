/**
 * How a call proves who pays for it: one of the four parts of an upstream.
 */
import { Redacted } from "effect"

/** Header names and values in turn, and the secrets among them, for redaction. */
export interface Auth {
  readonly headers: ReadonlyArray<string>
  readonly secrets: ReadonlyArray<string>
}

/** No key: local servers. */
export const none: Auth = { headers: [], secrets: [] }

/** A key in a header of its own. White space around the key (a file's last newline) is dropped. */
export const header = (name: string, key: Redacted.Redacted<string>): Auth => {
  const secret = Redacted.value(key).trim()
  return { headers: [name, secret], secrets: [secret] }
}

/** `Authorization: Bearer KEY`: OpenAI and most others. */
export const bearer = (key: Redacted.Redacted<string>): Auth => {
  const secret = Redacted.value(key).trim()
  return { headers: ["authorization", `Bearer ${secret}`], secrets: [secret] }
}

/** `api-key: KEY`: Azure. */
export const apiKey = (key: Redacted.Redacted<string>): Auth => header("api-key", key)

/** `x-api-key: KEY`: Anthropic. */
export const xApiKey = (key: Redacted.Redacted<string>): Auth => header("x-api-key", key)
