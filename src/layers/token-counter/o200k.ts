/**
 * Exact counts in the o200k vocabulary (GPT-4o and later) by the
 * `gpt-tokenizer` package, which is loaded on first use: its tables take some
 * tens of MB.
 *
 * Byte-pair merging is quadratic in the length of a run without a break:
 * 100,000 times the same letter would hold the event loop for twenty seconds.
 * Texts with such runs are cut into short pieces first, and long texts yield
 * to other fibers as they go. A cut adds a token at most.
 */
import { Effect } from "effect"

/** Longest run of letters, or of spaces, that is merged in one go. */
const maxRun = 256

/** Characters counted between two yields: about 3 ms. */
const maxPiece = 32_768

const longRun = new RegExp(`\\S{${maxRun + 1}}|\\s{${maxRun + 1}}`)
const shortPieces = new RegExp(`[^]{1,${maxRun}}`, "g")

/** Text like `<|endoftext|>` is the caller's text here, never a control token. */
const plainText = { disallowedSpecial: new Set<string>() }

// The boundary to a foreign module: a dynamic import is a promise, and fails where the package is not installed.
const load = Effect.runSync(
  Effect.cached(Effect.option(Effect.tryPromise(() => import("gpt-tokenizer/encoding/o200k_base"))))
)

/** Tokens of all `texts` together; `undefined` where the tokenizer is not installed. */
export const count = Effect.fnUntraced(function* (texts: ReadonlyArray<string>) {
  const loaded = yield* load
  if (loaded._tag === "None") return undefined
  const { countTokens } = loaded.value
  let tokens = 0
  for (const text of texts) {
    for (let from = 0; from < text.length; from += maxPiece) {
      const piece = text.slice(from, from + maxPiece)
      const parts = longRun.test(piece) ? (piece.match(shortPieces) ?? []) : [piece]
      for (const part of parts) tokens += countTokens(part, plainText)
      if (text.length > maxPiece) yield* Effect.yieldNow
    }
  }
  return tokens
})
