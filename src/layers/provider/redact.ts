/**
 * Secrets out of text that came from an upstream, before it reaches an error,
 * a log or a client: upstreams echo keys ("Incorrect API key provided: sk-…"),
 * proxies echo whole requests.
 */

/** Replaces what must not be seen. */
export const mask = "[redacted]"

/** Longest text of an upstream's that is passed on, in characters. */
export const maxDetailChars = 500

/** Shapes of keys and of the places where they stand; what a group captures is kept. */
const patterns: ReadonlyArray<RegExp> = [
  /(\b(?:authorization|proxy-authorization|x-api-key|api-key|api_key|apikey|x-goog-api-key)\b["']?\s*[:=]\s*["']?)(?:(?:bearer|basic)\s+)?[^\s"',;}&]+/gi,
  // A digit, a star or great length tells a key from a word ("Bearer authentication", "sk-learn").
  /(\b(?:bearer|basic)\s+)(?=[^\s"']*[\d*]|[^\s"']{24})[A-Za-z0-9._~+/*-]{6,}=*/gi,
  /([?&](?:key|api[-_]?key|access_token|token|sig|signature|code)=)[^&\s"'#]+/gi,
  /()\b(?:sk|pk|rk)-(?=[\w.-]*[\d*]|[\w.-]{24})[A-Za-z0-9_*.-]{4,}/g,
  /()\b(?:AIza[A-Za-z0-9_-]{20,}|gsk_[A-Za-z0-9]{8,}|hf_[A-Za-z0-9]{8,}|xai-[A-Za-z0-9]{8,}|AKIA[A-Z0-9]{12,})/g,
  /()\beyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]*/g
]

/** A function that removes `secrets` (our own keys, in any encoding of theirs) and whatever looks like one, then shortens. */
export const make = (secrets: ReadonlyArray<string>): ((text: string) => string) => {
  const known = [...new Set(secrets.flatMap((secret) => [secret, encodeURIComponent(secret), jsonEscaped(secret)]))]
    .filter((secret) => secret.length > 0)
    // The longest first, so that one key that begins another does not leave its end behind.
    .toSorted((a, b) => b.length - a.length)
  return (text) => {
    let out = text
    for (const secret of known) out = out.replaceAll(secret, mask)
    for (const pattern of patterns) out = out.replace(pattern, `$1${mask}`)
    return out.length > maxDetailChars ? `${out.slice(0, maxDetailChars - 1)}…` : out
  }
}

const jsonEscaped = (text: string): string => JSON.stringify(text).slice(1, -1)
