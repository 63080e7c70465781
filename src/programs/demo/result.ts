/**
 * What both sides come to: what the users saw beside what the provider got and
 * billed, as a table and one sentence.
 */
import type { Price } from "../../domain/catalog.ts"
import * as Catalog from "../../domain/catalog.ts"
import type { SimStats } from "../../layers/provider/sim/engine.ts"
import type { Users } from "./tally.ts"

/** One side: its users, and its bill. */
export interface Side extends Users {
  /** Calls the provider got, refused ones included. */
  readonly providerCalls: number
  readonly attemptsPerRequest: number
  /** All tokens the provider read and wrote, for users who had left too, at the catalog's price. */
  readonly costUsd: number
  readonly costPerThousandAnswersUsd: number | null
}

/** The whole result; what `--json` prints. */
export interface Result {
  readonly scenario: ReadonlyArray<string>
  readonly seed: number
  readonly patienceMs: number
  readonly naive: Side
  readonly ballast: Side
}

/** Put a side together. */
export const side = (users: Users, stats: SimStats, price: Price): Side => {
  const costUsd =
    Catalog.cost(price, { prompt_tokens: stats.promptTokens, completion_tokens: stats.generatedTokens }) / 1_000_000
  return {
    ...users,
    providerCalls: stats.calls,
    attemptsPerRequest: users.asked === 0 ? 0 : stats.calls / users.asked,
    costUsd,
    costPerThousandAnswersUsd: users.answered === 0 ? null : (costUsd / users.answered) * 1000
  }
}

const percent = (share: number | null) => (share === null ? "-" : `${(share * 100).toFixed(1)} %`)
const share = (count: number, { asked }: Users) => percent(asked === 0 ? null : count / asked)
const time = (ms: number | null) => (ms === null ? "-" : ms < 1000 ? `${ms} ms` : `${(ms / 1000).toFixed(2)} s`)
const dollars = (usd: number | null, digits: number) => (usd === null ? "-" : `$${usd.toFixed(digits)}`)

const rows: ReadonlyArray<readonly [label: string, cell: (each: Side) => string]> = [
  ["answered in time", (each) => share(each.answered, each)],
  ["  of the small tenants' users", (each) => percent(each.smallTenantsAnsweredShare)],
  ["errors (late, or no answer)", (each) => share(each.errors, each)],
  ["refused fast (within 1 s)", (each) => share(each.refusedFast, each)],
  ["answer p50 *", (each) => time(each.p50Ms)],
  ["answer p95 *", (each) => time(each.p95Ms)],
  ["answer p99 *", (each) => time(each.p99Ms)],
  ["first token p50 **", (each) => time(each.firstTokenP50Ms)],
  ["first token p95 **", (each) => time(each.firstTokenP95Ms)],
  ["attempts per request ***", (each) => each.attemptsPerRequest.toFixed(2)],
  ["cost", (each) => dollars(each.costUsd, 4)],
  ["cost per 1,000 answers", (each) => dollars(each.costPerThousandAnswersUsd, 2)]
]

const widths = [32, 14, 14] as const

/** The table, line by line. */
export const table = ({ ballast, naive }: Result): ReadonlyArray<string> => [
  `${"".padEnd(widths[0])}${"naive glue".padStart(widths[1])}${"Ballast".padStart(widths[2])}`,
  "-".repeat(widths[0] + widths[1] + widths[2]),
  ...rows.map(
    ([label, cell]) =>
      `${label.padEnd(widths[0])}${cell(naive).padStart(widths[1])}${cell(ballast).padStart(widths[2])}`
  ),
  "",
  "  *   of answers that came in time; users who left are under errors",
  "  **  of users who were still there",
  "  *** calls the provider got for each question"
]

/** What happened, in one sentence of the run's own numbers. */
export const sentence = ({ ballast, naive }: Result): string =>
  `The naive glue sent ${naive.attemptsPerRequest.toFixed(1)} calls per question and answered ${share(naive.answered, naive)} of its users in time; ` +
  `Ballast sent ${ballast.attemptsPerRequest.toFixed(2)}, answered ${share(ballast.answered, ballast)} and told ${share(ballast.refusedFast, ballast)} at once that it could not.`
