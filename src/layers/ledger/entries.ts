/** What every layer of Ledger does to entries before it takes them, and what it adds them up to. */
import { Effect } from "effect"
import { StoreError } from "../../domain/errors.ts"
import type { LedgerEntry, LedgerSum } from "../../domain/ledger.ts"

/** Times that Postgres and JavaScript both know, in epoch ms: the years 1 to 9999. */
const earliestMs = -62_135_596_800_000
const latestMs = 253_402_300_799_999

/** Longest text that an index of Postgres takes in any case, in characters. */
const longest = 600

const isName = (text: string): boolean => text.length > 0 && text.length <= longest && tidyText(text) === text

/** What the types do not say of an entry. By hand, because it is asked for each request. */
const isWritable = ({ atMs, id, inputTokens, microUsd, outputTokens, tenant }: LedgerEntry): boolean =>
  Number.isSafeInteger(microUsd) &&
  Number.isSafeInteger(inputTokens) &&
  Number.isSafeInteger(outputTokens) &&
  atMs >= earliestMs &&
  atMs <= latestMs &&
  isName(id) &&
  isName(tenant)

/** Text as Postgres takes it: users and features are named by callers, who may send anything. */
const tidyText = (text: string): string =>
  text.includes("\0") || !text.isWellFormed() ? text.toWellFormed().replaceAll("\0", "\uFFFD") : text
const tidyOrNull = (text: string | null): string | null => (text === null ? null : tidyText(text))

/** The entry as it can be written; `undefined` for what is no entry: money that is no whole number, an id too long … */
export const tidy = (entry: LedgerEntry): LedgerEntry | undefined =>
  isWritable(entry)
    ? {
        ...entry,
        user: tidyOrNull(entry.user),
        feature: tidyText(entry.feature),
        model: tidyText(entry.model),
        provider: tidyOrNull(entry.provider),
        promptVersion: tidyOrNull(entry.promptVersion),
        outcome: tidyText(entry.outcome)
      }
    : undefined

/** Each entry {@link tidy}; `Invalid` if one of them is no entry. The error quotes nothing of it. */
export const check = (entries: ReadonlyArray<LedgerEntry>): Effect.Effect<ReadonlyArray<LedgerEntry>, StoreError> =>
  Effect.suspend(() => {
    const checked: Array<LedgerEntry> = []
    for (const entry of entries) {
      const writable = tidy(entry)
      if (writable !== undefined) checked.push(writable)
    }
    if (checked.length === entries.length) return Effect.succeed(checked)
    const detail = `${entries.length - checked.length} of ${entries.length} are no ledger entries`
    return Effect.fail(new StoreError({ store: "postgres", reason: { _tag: "Invalid", detail } }))
  })

/** What makes an entry the same as another one; `atMs` is constant for an id. */
export const keyOf = ({ id, kind }: LedgerEntry): string => `${kind} ${id}`

/** Both sums in one. */
export const plus = (one: LedgerSum, other: LedgerSum): LedgerSum => ({
  entries: one.entries + other.entries,
  tokens: one.tokens + other.tokens,
  microUsd: one.microUsd + other.microUsd
})

/** The sum of one entry. */
export const sumOf = ({ inputTokens, microUsd, outputTokens }: LedgerEntry): LedgerSum => ({
  entries: 1,
  tokens: inputTokens + outputTokens,
  microUsd
})
