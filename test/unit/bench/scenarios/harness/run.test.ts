/** Both sides of a comparison see the same: visits, the process that each goes to, and the provider's luck. */
import { describe, expect, it } from "@effect/vitest"
import { fanOut } from "../../../../../bench/scenarios/baselines/queueing.ts"
import type { Case } from "../../../../../bench/scenarios/harness/case.ts"
import * as Run from "../../../../../bench/scenarios/harness/run.ts"

const one: Case = {
  variant: "calm",
  about: "far less than the provider can do",
  scenario: () => ({
    name: "calm",
    durationS: 30,
    processes: 3,
    providers: { provider: { tokensPerChunk: 10, straggler: { probability: 0.3, factor: 3 } } },
    policies: { ballast: {} },
    traffic: {
      stream: true,
      ttftMs: { kind: "lognormal", median: 200, sigma: 0.3 },
      perTokenMs: 5,
      outputTokens: 40,
      tenants: [{ name: "tenant", ratePerS: 2, cv: 1 }]
    }
  }),
  baselines: { "fan-out": fanOut({ provider: "provider" }) },
  figures: () => ({}),
  targets: []
}

const byVisit = (run: Awaited<ReturnType<typeof Run.play>>) => run.endings.toSorted((a, b) => a.visit.id - b.visit.id)

describe("run", () => {
  it("names Ballast's policies first", () => {
    expect(Run.policiesOf(one)).toEqual(["ballast", "fan-out"])
  })

  it("where no guard has anything to do, both sides end alike", async () => {
    const options = { seed: 7, quick: false }
    const ballast = byVisit(await Run.play(one, "ballast", options))
    const other = byVisit(await Run.play(one, "fan-out", options))
    expect(ballast.length).toBeGreaterThan(30)
    expect(other.map(({ visit }) => visit)).toEqual(ballast.map(({ visit }) => visit))
    expect(other.map(({ process }) => process)).toEqual(ballast.map(({ process }) => process))
    for (const [index, ending] of ballast.entries()) {
      expect(other[index]?.kind).toBe(ending.kind)
      // The other side's time has whole milliseconds; its sleeps are rounded up.
      expect(Math.abs((other[index]?.endedMs ?? 0) - ending.endedMs)).toBeLessThan(5)
      expect(Math.abs((other[index]?.firstTokenMs ?? 0) - (ending.firstTokenMs ?? 0))).toBeLessThan(5)
    }
  })

  it("another seed is another day", async () => {
    const [first, second] = await Promise.all([1, 2].map((seed) => Run.play(one, "ballast", { seed, quick: false })))
    expect(first?.visits[0]?.atMs).not.toBe(second?.visits[0]?.atMs)
  })
})
