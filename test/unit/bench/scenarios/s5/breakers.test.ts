/** What is read off breakers' transitions and a dead provider's calls. */
import { describe, expect, it } from "@effect/vitest"
import * as Breakers from "../../../../../bench/scenarios/s5/breakers.ts"
import type { Run } from "../../../../../bench/scenarios/harness/case.ts"
import type { BreakerState } from "../../../../../src/services/circuit-breaker.ts"

type Step = readonly [atMs: number, from: BreakerState, to: BreakerState, generation: number]

const runOf = (steps: ReadonlyArray<Step>, calls: ReadonlyArray<number>): Run => ({
  // Only its size and its length are looked at.
  scenario: { processes: 1, durationS: 100 } as Run["scenario"],
  policy: "ballast",
  seed: 1,
  visits: [],
  endings: [],
  calls: calls.map((atMs) => ({ provider: "primary", process: 0, atMs })),
  transitions: steps.map(([atMs, from, to, generation]) => ({
    key: "primary/model",
    process: 0,
    atMs,
    from,
    to,
    generation,
    reason: "manual"
  })),
  stats: {}
})

const down = { fromMs: 10_000, toMs: 30_000 }
const every = (fromMs: number, toMs: number, stepMs: number) =>
  Array.from({ length: Math.ceil((toMs - fromMs) / stepMs) }, (_, index) => fromMs + index * stepMs)

/** Opens after 2 s, probes in vain at 20 s and in earnest at 31 s. */
const good: ReadonlyArray<Step> = [
  [12_000, "closed", "open", 1],
  [20_000, "open", "half-open", 2],
  [20_050, "half-open", "open", 3],
  [31_000, "open", "half-open", 4],
  [32_000, "half-open", "closed", 5]
]

describe("breakers", () => {
  it("a breaker that does as it should", () => {
    const calls = [...every(10_000, 12_000, 100), 20_000, 20_010, 20_020]
    expect(Breakers.figures(runOf(good, calls), "primary", [down])).toEqual({
      recovery_s: 2,
      detect_s: 2,
      detect_calls: 20,
      unseen: 0,
      dead_calls: 23,
      dead_calls_allowed: 23,
      dead_calls_excess: 0,
      close_open_periods: 1,
      stale_transitions: 0
    })
  })

  it("a fourth probe is one too many, and so is one call to an open breaker's provider", () => {
    const calls = [...every(10_000, 12_000, 100), 20_000, 20_010, 20_020, 20_030, 25_000]
    expect(Breakers.figures(runOf(good, calls), "primary", [down]).dead_calls_excess).toBe(2)
  })

  it("a breaker that closes on the word of earlier probes may take its time to open once more, and no more than that", () => {
    const flapping: ReadonlyArray<Step> = [
      [1_000, "closed", "open", 1],
      [9_500, "open", "half-open", 2],
      [10_500, "half-open", "closed", 3],
      [11_000, "closed", "open", 4]
    ]
    const calls = [...every(9_500, 9_800, 100), ...every(10_500, 11_000, 50)]
    const figures = Breakers.figures(runOf(flapping, calls), "primary", [down])
    expect(figures).toMatchObject({ detect_s: 0.5, detect_calls: 10, unseen: 0, dead_calls: 10, dead_calls_excess: 0 })
    // Closed once more, by nobody's probes.
    const again: ReadonlyArray<Step> = [
      ...flapping,
      [13_000, "open", "half-open", 5],
      [13_100, "half-open", "closed", 6],
      [14_000, "closed", "open", 7]
    ]
    const more = Breakers.figures(runOf(again, [...calls, ...every(13_100, 14_000, 50)]), "primary", [down])
    // 6 probes are allowed, for the half-open times before and after.
    expect(more.dead_calls_excess).toBe(18 - 6)
  })

  it("an outage seen after more than 20 calls and more than 5 s is not seen in time", () => {
    const late: ReadonlyArray<Step> = [[16_000, "closed", "open", 1]]
    const busy = Breakers.figures(runOf(late, every(10_000, 16_000, 100)), "primary", [down])
    expect(busy.unseen).toBe(1)
    // Only what 5 s would have cost is allowed.
    expect(busy.dead_calls_excess).toBe(10)
    expect(Breakers.figures(runOf(late, every(10_000, 16_000, 500)), "primary", [down]).unseen).toBe(0)
  })

  it("a breaker that never opens has seen nothing, and one that never closes has not recovered", () => {
    const blind = Breakers.figures(runOf([], every(10_000, 30_000, 100)), "primary", [down])
    expect(blind.unseen).toBe(1)
    expect(blind.close_open_periods).toBe(0)
    const stuck = Breakers.figures(runOf([[12_000, "closed", "open", 1]], []), "primary", [down])
    expect(stuck.close_open_periods).toBeGreaterThan(1)
  })

  it("a transition from another state, of another generation, or of no legal pair is stale", () => {
    const stale = (steps: ReadonlyArray<Step>) =>
      Breakers.figures(runOf(steps, []), "primary", [down]).stale_transitions
    expect(stale([...good, [33_000, "half-open", "open", 6]])).toBe(1)
    expect(stale([...good, [33_000, "closed", "open", 7]])).toBe(1)
    expect(stale([[12_000, "closed", "half-open", 1]])).toBe(1)
  })
})
