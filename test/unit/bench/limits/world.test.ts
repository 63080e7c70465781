/** The bulkhead before a provider that is asked for far more than it can do. */
import { assert, describe, it } from "@effect/vitest"
import { algorithms } from "../../../../bench/limits/algorithms.ts"
import * as World from "../../../../bench/limits/world.ts"
import type { Outcome } from "../../../../bench/limits/world.ts"
import { defaults } from "../../../../src/domain/policy.ts"
import type { LimitOf } from "../../../../src/layers/bulkhead/memory.ts"

const named = (name: string): LimitOf => algorithms[name] ?? assert.fail(`no algorithm ${name}`)

const play = (load: number, streamed: boolean, maxInFlight: number, algorithm: string, durationS = 60): Outcome =>
  World.play({
    seed: 3,
    processes: 4,
    concurrency: 40,
    load,
    streamed,
    durationS,
    deadlineMs: 10_000,
    tenants: 10,
    policy: { ...defaults.bulkhead, maxInFlight, adaptive: true },
    limitOf: named(algorithm)
  })

/** What is seen from 20 s on, when queues are full. */
const figures = ({ capacityPerS, visits }: Outcome, toS: number) => {
  const sent = visits.filter(({ at }) => at >= 20_000 && at < (toS - 10) * 1_000)
  const good = visits.filter(({ endedAt, ending }) => ending === "good" && endedAt >= 20_000 && endedAt < toS * 1_000)
  const refused = sent.filter(({ ending }) => ending === "refused")
  const late = sent.filter(({ ending }) => ending === "late")
  return {
    goodput: good.length / (toS - 20) / capacityPerS,
    late: late.length / (sent.length - refused.length),
    refused: refused.length,
    /** Share of the refusals that took less than 50 ms. */
    atOnce: refused.filter(({ at, endedAt }) => endedAt - at < 50).length / refused.length
  }
}

describe("the bulkhead under overload", () => {
  for (const load of [2, 10]) {
    for (const streamed of [true, false]) {
      for (const [algorithm, maxInFlight, atOnce] of [
        ["fixed", 10, 0.99],
        // A limit that falls lets a whole queue wait in vain now and then.
        ["ballast", 50, 0.97]
      ] as const) {
        it(`${load}x, ${streamed ? "streams" : "whole answers"}, ${algorithm}: full speed, few too late, refusals at once`, () => {
          const seen = figures(play(load, streamed, maxInFlight, algorithm), 60)
          assert.isAbove(seen.goodput, load === 2 ? 0.9 : 0.85)
          assert.isBelow(seen.late, 0.03)
          assert.isAbove(seen.refused, 500)
          assert.isAbove(seen.atOnce, atOnce)
        })
      }
    }
  }

  it("at 80 % of what the provider can do next to nobody is refused", () => {
    const { visits } = play(0.8, true, 10, "fixed")
    const refused = visits.filter(({ ending }) => ending !== "good" && ending !== "pending").length
    assert.isAbove(visits.length, 1_000)
    assert.isBelow(refused / visits.length, 0.005)
  })

  it("the same seed gives the same run", () => {
    const [first, second] = [play(2, true, 50, "ballast", 20), play(2, true, 50, "ballast", 20)]
    assert.deepStrictEqual(first, second)
  })
})

describe("the adaptive limit", () => {
  it("finds the provider's capacity from a ceiling five times too high", () => {
    const { limits } = play(2, true, 50, "ballast")
    const settled = limits.slice(30)
    assert.isAtLeast(Math.min(...settled), 36)
    assert.isAtMost(settled.reduce((sum, limit) => sum + limit, 0) / settled.length, 60)
  })

  it("beside it a long-term average as baseline lets itself be led away", () => {
    const last = (algorithm: string) => play(2, true, 50, algorithm, 150).limits.at(-1) ?? 0
    assert.isAtLeast(last("gradient2-long"), 100)
    assert.isAtMost(last("ballast"), 65)
  })
})
