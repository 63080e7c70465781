/**
 * Whether the books balance: every request of the trace has exactly one end,
 * the server counted the same, nothing is in flight after quiet, and every
 * permit is back.
 */
import type { Counters } from "./counters.ts"
import type { Ending, Kind } from "./account.ts"

/** All that was seen. */
export interface Seen {
  readonly sent: number
  readonly endings: ReadonlyArray<Ending>
  readonly server: Counters | undefined
  /** The burst after quiet: how many were sent at once, how many were answered, and the slowest; `limitMs` is what one round may take. */
  readonly burst: {
    readonly size: number
    readonly answered: number
    readonly slowestMs: number
    readonly limitMs: number | undefined
  }
}

/** One check and what it found. */
export interface Check {
  readonly name: string
  readonly ok: boolean
  readonly detail: string
}

const count = (endings: ReadonlyArray<Ending>, ...kinds: ReadonlyArray<Kind>) =>
  endings.filter(({ kind }) => kinds.includes(kind)).length

/** All checks. */
export const checks = ({ burst, endings, sent, server }: Seen): ReadonlyArray<Check> => [
  { name: "every request has an end", ok: endings.length === sent, detail: `${endings.length} of ${sent}` },
  ...(server === undefined ? [] : ofServer(endings, server)),
  {
    name: "every permit is back",
    ok: burst.answered === burst.size && (burst.limitMs === undefined || burst.slowestMs <= burst.limitMs),
    detail:
      `${burst.answered} of ${burst.size} answered at once, the slowest after ${Math.round(burst.slowestMs)} ms` +
      (burst.limitMs === undefined ? "" : ` (at most ${burst.limitMs})`)
  }
]

/**
 * A client that leaves may be seen or not: before its request was read the
 * server never heard of it, after the last byte it was a good request. Hence
 * ranges as wide as the number of those who left, and no wider.
 */
const ofServer = (endings: ReadonlyArray<Ending>, server: Counters): ReadonlyArray<Check> => {
  const left = count(endings, "cancelled")
  const unheard = endings.filter(({ kind, status }) => kind === "cancelled" && status === 0).length
  const total = [...server.byOutcome.values()].reduce((sum, value) => sum + value, 0)
  const ok = server.byOutcome.get("ok") ?? 0
  const cancelled = server.byOutcome.get("cancelled") ?? 0
  const errors = total - ok - cancelled
  return [
    within("server: all requests", total, endings.length - unheard, endings.length),
    within("server: answered", ok, count(endings, "answered"), count(endings, "answered") + left),
    within(
      "server: refused or failed",
      errors,
      count(endings, "refused", "failed"),
      count(endings, "refused", "failed") + left
    ),
    within("server: left by the client", cancelled, 0, left),
    within("server: no bug", server.byOutcome.get("defect") ?? 0, 0, 0),
    within("server: in flight after quiet", server.inFlight, 0, 0)
  ]
}

const within = (name: string, value: number, least: number, most: number): Check => ({
  name,
  ok: least <= value && value <= most,
  detail: least === most ? `${value}, expected ${least}` : `${value}, expected ${least} to ${most}`
})
