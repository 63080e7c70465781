/**
 * The books in the memory of this process: for tests, and where no Postgres is
 * configured. They end with it.
 *
 * Kept by tenant and UTC day: the sums of a day, and the latest entries of all
 * days. So the sum of whole days, which is what budgets ask for, is exact and
 * cheap whatever the number of entries. A part of a day is summed from the
 * entries, and lacks those that are not kept any more.
 */
import { Effect, Layer } from "effect"
import type { LedgerEntry, LedgerSum } from "../../domain/ledger.ts"
import { nothing } from "../../domain/ledger.ts"
import { Ledger } from "../../services/ledger.ts"
import * as Entries from "./entries.ts"

/** Entries kept one by one; the same one is known again for as long as it is among them. */
const mostEntries = 100_000

/** Days kept for a tenant: more than any window of a budget. */
const mostDays = 100

const dayMs = 86_400_000

interface Day {
  total: LedgerSum
  readonly features: Map<string, LedgerSum>
  readonly entries: Set<LedgerEntry>
}

/** Books that end with this process. */
export const make = (): Ledger["Service"] => {
  const seen = new Map<string, { readonly day: Day; readonly entry: LedgerEntry }>()
  // One iterator for good: a new one would have to pass the places of all that were deleted.
  const oldestFirst = seen.keys()
  const tenants = new Map<string, Map<number, Day>>()

  const dayOf = ({ atMs, tenant }: LedgerEntry): Day => {
    let days = tenants.get(tenant)
    if (days === undefined) tenants.set(tenant, (days = new Map()))
    const number = Math.floor(atMs / dayMs)
    const known = days.get(number)
    if (known !== undefined) return known
    const day: Day = { total: nothing, features: new Map(), entries: new Set() }
    days.set(number, day)
    if (days.size > mostDays) days.delete(Math.min(...days.keys()))
    return day
  }

  const add = (entry: LedgerEntry): void => {
    const key = Entries.keyOf(entry)
    if (seen.has(key)) return
    const day = dayOf(entry)
    const one = Entries.sumOf(entry)
    day.total = Entries.plus(day.total, one)
    day.features.set(entry.feature, Entries.plus(day.features.get(entry.feature) ?? nothing, one))
    day.entries.add(entry)
    seen.set(key, { day, entry })
    if (seen.size <= mostEntries) return
    const oldest = oldestFirst.next().value
    const kept = oldest === undefined ? undefined : seen.get(oldest)
    if (oldest === undefined || kept === undefined) return
    kept.day.entries.delete(kept.entry)
    seen.delete(oldest)
  }

  const sum: Ledger["Service"]["sum"] = ({ feature, fromMs, tenant, toMs }) =>
    Effect.sync(() => {
      let all = nothing
      for (const [number, day] of tenants.get(tenant) ?? []) {
        const startMs = number * dayMs
        if (startMs >= toMs || startMs + dayMs <= fromMs) continue
        if (startMs >= fromMs && startMs + dayMs <= toMs) {
          all = Entries.plus(all, feature === undefined ? day.total : (day.features.get(feature) ?? nothing))
          continue
        }
        for (const entry of day.entries) {
          if (entry.atMs < fromMs || entry.atMs >= toMs) continue
          if (feature === undefined || entry.feature === feature) all = Entries.plus(all, Entries.sumOf(entry))
        }
      }
      return all
    })

  return Ledger.of({
    append: (entry) => {
      const writable = Entries.tidy(entry)
      if (writable === undefined) return false
      add(writable)
      return true
    },
    write: (entries) => Effect.map(Entries.check(entries), (checked) => checked.forEach(add)),
    sum,
    pending: () => 0,
    flush: Effect.void
  })
}

/** {@link make} as a layer. */
export const layer: Layer.Layer<Ledger> = Layer.sync(Ledger, make)
