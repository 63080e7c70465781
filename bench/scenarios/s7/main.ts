/**
 * `npm run bench -- S7`: leases under faults, in real time with real processes and a Redis of its own. Holders are
 * killed and stopped, clocks are an hour off, Redis is killed, started again empty, and hung; beside it two ways of
 * keeping permits in Redis that are found in many places. Ends with code 1 when a row of ours misses a target.
 */
import { existsSync } from "node:fs"
import { least, most } from "../harness/case.ts"
import type { Figures, Target } from "../harness/case.ts"
import * as Command from "../stores/command.ts"
import * as OwnRedis from "../stores/own-redis.ts"
import type { Options } from "./fleet.ts"
import * as Holders from "./holders.ts"
import { shapes } from "./setup.ts"
import type { Policy } from "./setup.ts"
import * as Store from "./store.ts"

/** Where Debian puts the library of `faketime`. */
const libraries = ["x86_64", "aarch64"].map((machine) => `/usr/lib/${machine}-linux-gnu/faketime/libfaketimeMT.so.1`)
const faketime = libraries.find((file) => existsSync(file))

/** As shipped where Redis fails; longer where it is well, so that a machine that is busy elsewhere fails nothing. */
const timeoutMs = { away: 25, well: 500 }

const hourMs = 3_600_000

/** An hour ahead, right, an hour behind, and so on. */
const skews = [hourMs, 0, -hourMs]

const held: ReadonlyArray<Target> = [
  most("permits_over_limit", 0),
  most("release_s", 1),
  most("lost_early", 0),
  most("lost_notice_ms", Holders.noticeMs),
  most("fence_violations", 0),
  least("permits_given", 1),
  least("clean_exits", 1)
]

const away: ReadonlyArray<Target> = [
  most("decision_p99_ms", 50),
  least("admission_ratio", 0.6),
  most("admission_max_ratio", 1.2),
  most("capped_let_in", 0),
  least("capped_after", 1),
  most("permits_over_limit", 0),
  least("clean_exits", 1)
]

const baselines: ReadonlyArray<Policy> = ["zset-client-clock", "counter"]

/** The benchmark. */
export const bench: Command.RealBench = {
  name: "S7",
  title: "leases under faults",
  scale: "12 processes, 60 permits, 96 callers; small: 4 processes, 12 permits, 20 callers",
  cases: [
    {
      variant: "holders",
      about: "holders killed, and stopped for longer than a lease lives",
      policies: ["ballast", ...baselines],
      targets: held
    },
    {
      variant: "skewed",
      about: "the same, with clocks an hour ahead and an hour behind",
      policies: ["ballast", "zset-client-clock"],
      targets: held
    },
    ...(faketime === undefined
      ? []
      : [
          {
            variant: "skewed-faketime",
            about: "the same, with the clocks of whole processes skewed by faketime",
            policies: ["ballast"],
            targets: held
          }
        ]),
    {
      variant: "store-killed",
      about: "Redis killed, and started again empty",
      policies: ["ballast"],
      targets: away
    },
    { variant: "store-hung", about: "Redis stopped, its connections open", policies: ["ballast"], targets: away }
  ],
  notice: () =>
    faketime === undefined
      ? "faketime is not installed (Debian: apt install faketime): clocks are skewed by an injected clock alone."
      : undefined,
  missing: async () =>
    (await OwnRedis.isThere("redis-server", "--version")) ? undefined : "no redis-server on the PATH",
  play: async ({ policy, seed, small, variant }): Promise<Figures> => {
    const shape = shapes[small ? "small" : "full"]
    const redis = await OwnRedis.start()
    const { holdMs, limit, processes, ttlMs, workers } = shape
    const isStore = variant.startsWith("store-")
    const options: Options = {
      // One of the names of the cases above.
      setup: {
        policy: policy as Policy,
        redisUrl: redis.url,
        prefix: "s7",
        timeoutMs: isStore ? timeoutMs.away : timeoutMs.well,
        limit,
        ttlMs,
        processes,
        workers,
        holdMs,
        whole: isStore
      },
      seed,
      skewMs: (index) => (variant.startsWith("skewed") ? (skews[index % skews.length] ?? 0) : 0),
      faketime: variant === "skewed-faketime" ? faketime : undefined
    }
    try {
      return isStore
        ? await Store.run(options, shape, redis, variant === "store-killed" ? "killed" : "hung")
        : await Holders.run(options, shape)
    } finally {
      await redis.stop()
    }
  }
}

/** Run the scenario. */
export const main = Command.of(bench)
