/**
 * `npm run bench -- S6`: many processes race for one budget, in real time with a Redis of its own and real books in
 * Postgres, while answers of Redis are lost, processes are killed, and calls are settled twice and too late; beside it
 * the usual check-then-add. Ends with code 1 when a row of ours misses a target.
 */
import { least, most } from "../harness/case.ts"
import type { Figures, Target } from "../harness/case.ts"
import * as Command from "../stores/command.ts"
import * as OwnRedis from "../stores/own-redis.ts"
import * as OwnDatabase from "../stores/own-database.ts"
import { policies, shapes } from "./setup.ts"
import type { Policy } from "./setup.ts"
import * as Run from "./run.ts"
import * as Sizes from "./sizes.ts"

const sizes = Sizes.find()

const targets = (overshoot: number): ReadonlyArray<Target> => [
  most("overshoot_ratio", overshoot),
  most("false_refusal_ratio", 0.005),
  most("ledger_mismatch_usd", 0),
  most("leak_return_s", 1),
  most("reserved_after_usd", 0),
  most("booked_missing", 0),
  most("booked_twice", 0),
  // Questions without an answer must leave nothing behind.
  most("phantom_ratio", 0.01),
  // Else nobody raced for it, or nothing went wrong.
  least("used_ratio", 0.4),
  least("refused", 1),
  least("killed_in_flight", 1),
  least("redis_timeout_ratio", 0.08),
  least("clean_exits", 1)
]

const play = async (policy: Policy, seed: number, small: boolean): Promise<Figures> => {
  const redis = await OwnRedis.start()
  try {
    return await OwnDatabase.use((postgresUrl) =>
      Run.once({ policy, seed, redisUrl: redis.url, postgresUrl, sizes }, shapes[small ? "small" : "full"])
    )
  } finally {
    await redis.stop()
  }
}

/** The benchmark. */
export const bench: Command.RealBench = {
  name: "S6",
  title: "a budget that many processes race for",
  scale: "20 processes with 200 callers each and a cap of $100; small: 4 with 25 and $4",
  cases: [
    {
      variant: "max",
      about: "what a call can cost at most is set aside",
      policies: ["ballast-max", "check-then-add"],
      targets: targets(0)
    },
    {
      variant: "learned",
      about: "what 95 % of such calls cost is set aside, and more when it is needed",
      policies: ["ballast-learned"],
      targets: targets(0.01)
    }
  ],
  notice: () =>
    sizes === undefined
      ? "azure2023_code.csv is in none of the folders of BALLAST_DATA (default ../shared/data): token sizes are made up, log-normal."
      : undefined,
  missing: async () => {
    if (!(await OwnRedis.isThere("redis-server", "--version"))) return "no redis-server on the PATH"
    return OwnDatabase.missing()
  },
  play: ({ policy, seed, small }) => {
    const known = policies.find((each) => each === policy)
    return known === undefined ? Promise.reject(new Error(`no policy ${policy}`)) : play(known, seed, small)
  }
}

/** Run the scenario. */
export const main = Command.of(bench)
