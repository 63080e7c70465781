/**
 * The scenarios S6 and S7 in their short form, one seed: real processes that are killed and stopped, a real Redis that
 * is broken, real books in Postgres. The targets are those of the benchmarks, and the baselines beside them show that
 * they can be missed.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { endChildren } from "../../bench/child/lifetime.ts"
import type { Figures } from "../../bench/scenarios/harness/case.ts"
import * as Case from "../../bench/scenarios/harness/case.ts"
import { bench as s6 } from "../../bench/scenarios/s6/main.ts"
import { bench as s7 } from "../../bench/scenarios/s7/main.ts"
import type { RealBench } from "../../bench/scenarios/stores/command.ts"
import * as Postgres from "../support/postgres.ts"
import * as Redis from "../support/redis.ts"

const seed = 1

const play = (bench: RealBench, variant: string, policy: string): Effect.Effect<Figures> =>
  Effect.ensuring(
    Effect.promise(() => bench.play({ variant, policy, seed, small: true })),
    Effect.sync(endChildren)
  )

/**
 * What must hold on any machine, however busy: money, books, permits. How fast, and how often in vain, is for the
 * benchmarks to judge (`npm run bench -- S6`), on a machine of their own.
 */
const always: ReadonlySet<string> = new Set([
  "overshoot_ratio",
  "ledger_mismatch_usd",
  "booked_missing",
  "booked_twice",
  "permits_over_limit",
  "fence_violations",
  "capped_let_in"
])

/** A process that got no core for seconds may look like one that was lost. */
const mostTries = 2

const missed = (bench: RealBench, variant: string, figures: Figures): ReadonlyArray<string> =>
  (bench.cases.find((one) => one.variant === variant)?.targets ?? [])
    .filter((target) => always.has(target.field) && !Case.isMet(target, figures))
    .map(({ at, bound, field }) => `${field} is ${figures[field]}, not at ${at} ${bound}`)

const meets = Effect.fnUntraced(function* (bench: RealBench, variant: string, policy: string) {
  assert.isDefined(bench.cases.find((one) => one.variant === variant))
  for (let tries = 1; ; tries++) {
    const figures = yield* play(bench, variant, policy)
    const misses = missed(bench, variant, figures)
    if (misses.length === 0) return figures
    if (tries === mostTries) return assert.fail(`${misses.join("; ")}\n${JSON.stringify(figures)}`)
  }
})

const timeout = 600_000

describe.skipIf(!Redis.breakable || !Postgres.available)("S6, a budget that many processes race for", () => {
  it.live("the most is set aside: nothing beyond the cap", () => meets(s6, "max", "ballast-max"), { timeout })

  it.live("what is usual is set aside: hardly anything beyond it", () => meets(s6, "learned", "ballast-learned"), {
    timeout
  })

  it.live(
    "check-then-add goes beyond the cap",
    () =>
      Effect.gen(function* () {
        const figures = yield* play(s6, "max", "check-then-add")
        assert.isAbove(figures["overshoot_ratio"] ?? 0, 0)
      }),
    { timeout }
  )
})

describe.skipIf(!Redis.breakable)("S7, leases under faults", () => {
  it.live("holders are killed and stopped", () => meets(s7, "holders", "ballast"), { timeout })

  it.live("clocks an hour off change nothing", () => meets(s7, "skewed", "ballast"), { timeout })

  it.live("Redis is killed, and comes back empty", () => meets(s7, "store-killed", "ballast"), { timeout })

  it.live("Redis hangs", () => meets(s7, "store-hung", "ballast"), { timeout })

  it.live(
    "clocks an hour off give away the same permits twice where the clients' clocks decide",
    () =>
      Effect.gen(function* () {
        const figures = yield* play(s7, "skewed", "zset-client-clock")
        assert.isAbove(figures["permits_over_limit"] ?? 0, 0)
      }),
    { timeout }
  )

  it.live(
    "a counter never gets back what a killed process held",
    () =>
      Effect.gen(function* () {
        const figures = yield* play(s7, "holders", "counter")
        assert.strictEqual(figures["release_s"], Infinity)
      }),
    { timeout }
  )
})
