/** The figures of one run of S6, from what its processes wrote down, the counters in Redis and the books in Postgres. */
import * as History from "../../support/history.ts"
import type { Figures } from "../harness/case.ts"
import type { Counts } from "../stores/faults.ts"
import type { Booked } from "../stores/own-database.ts"
import type { Told } from "./history.ts"

/** Money under the cap, by the counters (micro-dollars). */
export interface Status {
  readonly spent: number
  readonly reserved: number
}

/** What is known when a run is over. Times on the shared clock in ms, money in micro-dollars. */
export interface Seen {
  readonly told: ReadonlyArray<Told>
  readonly cap: number
  readonly reservationMs: number
  /** From the end of a call to the moment at which its money must be free. */
  readonly toldMs: number
  readonly counted: ReadonlyArray<Counts>
  readonly clean: boolean
  readonly killedAt: ReadonlyMap<string, number>
  /** When nothing was reserved any more. */
  readonly quietAt: number
  readonly status: Status | undefined
  /** The sum of the books, and their entries; undefined where there are none. */
  readonly sum: number | undefined
  readonly entries: ReadonlyArray<Booked> | undefined
}

const usd = (micro: number | undefined): number | undefined => (micro === undefined ? undefined : micro / 1_000_000)

const sumOf = <A>(of: Iterable<A>, what: (one: A) => number): number => {
  let sum = 0
  for (const one of of) sum += what(one)
  return sum
}

/** A process that is killed takes with it what it had not yet told the store: whether it had, nobody can know. */
const known = (one: Told, killedMs: number, toldMs: number): Told => {
  if (one.answer === "admitted" && one.settledMs + toldMs > killedMs) return { ...one, settledMs: Infinity }
  if (one.answer === "unavailable" && one.answeredMs + toldMs > killedMs) return { ...one, answer: "none" }
  return one
}

/** Reservations that expired though their process lived to the end and never had them: nobody spent what was booked. */
const phantoms = ({ entries = [], killedAt, told }: Seen): ReadonlyArray<Booked> => {
  const own = new Set<string>()
  const owners = new Map<string, string>()
  const prefixOf = (id: string): string => id.slice(0, id.lastIndexOf("-"))
  for (const { process, reservation } of told) {
    if (reservation === "") continue
    own.add(reservation)
    owners.set(prefixOf(reservation), process)
  }
  return entries.filter(({ id }) => {
    const owner = owners.get(prefixOf(id))
    return !own.has(id) && owner !== undefined && !killedAt.has(owner)
  })
}

/** All of them. */
export const of = (seen: Seen): Figures => {
  const { cap, clean, counted, entries, killedAt, quietAt, reservationMs, status, sum, told, toldMs } = seen
  const killedMs = ({ process }: Told): number => killedAt.get(process) ?? Infinity
  const admitted = told.filter(({ answer }) => answer === "admitted")
  const open = admitted.filter(({ settledMs }) => settledMs === Infinity)
  const settled = admitted.filter((one) => one.settledMs + toldMs < killedMs(one))
  const unknown = told.filter(({ answer, settledMs }) => settledMs === Infinity && answer !== "refused")
  // A reservation of which nothing is heard expires so long after it was made, at the latest.
  const lastExpiry = Math.max(
    0,
    ...unknown.map(({ answeredMs, askedMs }) => (answeredMs === Infinity ? askedMs : answeredMs) + reservationMs)
  )
  const lastEnd = Math.max(0, ...settled.map(({ settledMs }) => settledMs))
  const spent = History.reallySpent(told)
  const asKnown = told.map((one) => known(one, killedMs(one), toldMs))
  const asked = Math.max(1, told.length)
  const first = entries?.filter(({ kind }) => kind !== "corrected").map(({ id }) => id)
  const books =
    first === undefined
      ? undefined
      : History.bookkeeping(
          settled.map(({ reservation }) => reservation),
          first
        )
  return {
    overshoot_ratio: History.overshoot(told, cap),
    false_refusal_ratio: History.falseRefusals(asKnown, cap, toldMs).length / asked,
    ledger_mismatch_usd: status === undefined || sum === undefined ? undefined : usd(Math.abs(status.spent - sum)),
    leak_return_s: open.length === 0 ? 0 : Math.max(0, quietAt - Math.max(lastExpiry, lastEnd)) / 1_000,
    booked_missing: books?.missing.length,
    booked_twice: books?.twice.length,
    phantom_ratio: entries === undefined ? undefined : sumOf(phantoms(seen), ({ microUsd }) => microUsd) / cap,
    used_ratio: spent / cap,
    unavailable_ratio: told.filter(({ answer }) => answer === "unavailable").length / asked,
    redis_timeout_ratio:
      sumOf(counted, ({ timedOut }) => timedOut) /
      Math.max(
        1,
        sumOf(counted, ({ calls }) => calls)
      ),
    asked: told.length,
    admitted: admitted.length,
    refused: told.filter(({ answer }) => answer === "refused").length,
    cut: admitted.filter(({ cut }) => cut).length,
    killed: killedAt.size,
    killed_in_flight: open.length,
    counters_usd: usd(status?.spent),
    books_usd: usd(sum),
    really_spent_usd: usd(spent),
    // What killed calls were booked as, beyond what they did cost.
    estimated_usd: usd(sumOf(open, ({ cost, granted }) => granted - cost)),
    reserved_after_usd: usd(status?.reserved),
    clean_exits: clean ? 1 : 0
  }
}
