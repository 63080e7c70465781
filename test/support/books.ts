/** Books that show what was written to them. */
import { Effect, Layer } from "effect"
import type { LedgerEntry } from "../../src/domain/ledger.ts"
import { nothing } from "../../src/domain/ledger.ts"
import { Ledger } from "../../src/services/ledger.ts"

/** A ledger over a list; an entry that is there already is left as it is. */
export const make = () => {
  const entries: Array<LedgerEntry> = []
  const add = (entry: LedgerEntry) => {
    if (!entries.some(({ id, kind }) => id === entry.id && kind === entry.kind)) entries.push(entry)
    return true
  }
  const ledger = Ledger.of({
    append: add,
    write: (some) => Effect.sync(() => some.forEach(add)),
    sum: ({ feature, fromMs, tenant, toMs }) =>
      Effect.sync(() =>
        entries
          .filter(
            (entry) =>
              entry.tenant === tenant &&
              (feature === undefined || entry.feature === feature) &&
              entry.atMs >= fromMs &&
              entry.atMs < toMs
          )
          .reduce(
            (sum, { inputTokens, microUsd, outputTokens }) => ({
              entries: sum.entries + 1,
              tokens: sum.tokens + inputTokens + outputTokens,
              microUsd: sum.microUsd + microUsd
            }),
            nothing
          )
      ),
    pending: () => 0,
    flush: Effect.void
  })
  return { entries, layer: Layer.succeed(Ledger, ledger), ledger }
}
