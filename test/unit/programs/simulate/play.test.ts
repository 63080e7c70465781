import { assert, describe, it } from "@effect/vitest"
import * as Figures from "../../../../src/programs/simulate/figures.ts"
import { isGood } from "../../../../src/programs/simulate/ending.ts"
import * as Play from "../../../../src/programs/simulate/play.ts"
import * as Tally from "../../../../src/programs/simulate/tally.ts"
import { scenario } from "../../../support/scenario.ts"

const tallyOf = (played: Play.Played) => Tally.make(played.endings, played.calls, played.scenario.durationS)

/** What must be the same, byte for byte. */
const bytes = ({ calls, endedAtMs, endings, stats, transitions }: Play.Played) =>
  JSON.stringify({
    endings: endings.map(({ visit, ...rest }) => ({ ...rest, id: visit.id })),
    calls,
    stats,
    transitions,
    endedAtMs
  })

/** A provider at two thirds of its load that works on for callers who have left, and loses most of its capacity for ten seconds. */
const storm = scenario({
  name: "storm",
  durationS: 120,
  processes: 3,
  providers: {
    primary: {
      concurrency: 30,
      abandoned: "continue",
      tokensPerChunk: 64,
      faults: [{ kind: "capacity", factor: 0.2, fromMs: 30_000, toMs: 40_000 }]
    }
  },
  policies: {
    ballast: { timeouts: { hardMs: 15_000, firstTokenMs: 5_000 }, bulkhead: { maxInFlight: 10 } },
    "no-retry-budget": {
      timeouts: { hardMs: 15_000, firstTokenMs: 5_000 },
      bulkhead: { maxInFlight: 1_000 },
      breaker: { minimumCalls: 1_000_000 },
      retry: { maxRetries: 3, budgetRatio: 1, budgetMax: 100_000, budgetConcurrent: 1 }
    }
  },
  traffic: {
    tenants: [{ name: "app", ratePerS: 20 }],
    ttftMs: 100,
    perTokenMs: 18,
    outputTokens: { kind: "exponential", mean: 50 },
    patienceMs: 5_000
  },
  marks: [{ name: "capacity -80 %", fromS: 30, toS: 40 }]
})

describe("play", () => {
  it("ends each visit once, and the books of both sides agree", () => {
    const played = Play.play(scenario({ processes: 3 }), "ballast", 1)
    const tally = tallyOf(played)
    assert.isAbove(played.visits.length, 50)
    assert.deepStrictEqual(
      played.endings.map(({ visit }) => visit.id).toSorted((a, b) => a - b),
      played.visits.map(({ id }) => id)
    )
    assert.strictEqual(tally.good, played.visits.length)
    assert.strictEqual(played.stats["primary"]?.calls, played.calls.length)
    assert.strictEqual(played.stats["primary"]?.finished, played.visits.length)
    assert.deepStrictEqual([...new Set(played.endings.map(({ process }) => process))].toSorted(), [0, 1, 2])
    // 200 ms and 49 tokens of 8 ms each, at a provider that is never full.
    for (const { endedMs } of played.endings) assert.closeTo(endedMs, 592, 0.01)
  })

  it("reads streams to their end, and knows when they began", () => {
    const streams = scenario({
      traffic: { tenants: [{ name: "app", ratePerS: 5 }], ttftMs: 200, perTokenMs: 8, outputTokens: 50, stream: true }
    })
    for (const { endedMs, firstTokenMs, kind } of Play.play(streams, "ballast", 1).endings) {
      assert.strictEqual(kind, "answered")
      assert.closeTo(firstTokenMs ?? 0, 200, 0.01)
      assert.closeTo(endedMs, 592, 0.01)
    }
  })

  it("is the same for the same seed, byte for byte, in one process, whatever was played before", () => {
    const first = bytes(Play.play(storm, "ballast", 7))
    const ablation = bytes(Play.play(storm, "no-retry-budget", 7))
    assert.strictEqual(bytes(Play.play(storm, "no-retry-budget", 7)), ablation)
    assert.strictEqual(bytes(Play.play(storm, "ballast", 7)), first)
    assert.notStrictEqual(bytes(Play.play(storm, "ballast", 8)), first)
  })

  it("meets each policy with the same visits, at the same processes", () => {
    const [one, other] = ["ballast", "no-retry-budget"].map((policy) => Play.play(storm, policy, 2))
    assert.deepStrictEqual(one?.visits, other?.visits)
    const places = (played: Play.Played | undefined) =>
      played?.endings.map(({ process, visit }) => `${visit.id} ${process}`).toSorted()
    assert.deepStrictEqual(places(one), places(other))
  })

  it("shows the storm: without a retry budget the fleet stays down, with Ballast it recovers", () => {
    const trigger = { fromS: 30, toS: 40 }
    for (const seed of [1, 2]) {
      const ballast = tallyOf(Play.play(storm, "ballast", seed))
      const without = tallyOf(Play.play(storm, "no-retry-budget", seed))
      assert.isAtMost(Figures.recoveryS(ballast.seconds, trigger, 5) ?? Infinity, 30)
      assert.isAtLeast(Figures.goodputRatio(ballast.seconds, trigger, 5) ?? 0, 0.95)
      assert.isAtMost(ballast.calls / ballast.offered, 1.15)
      assert.isNull(Figures.recoveryS(without.seconds, trigger, 5))
      assert.isAtMost(Figures.goodputRatio(without.seconds, trigger, 5) ?? 1, 0.1)
      assert.isAtLeast(without.calls / without.offered, 2)
    }
  })

  it("lets visitors leave where the scenario says so, and wait where it does not", () => {
    const slow = {
      traffic: { tenants: [{ name: "app", ratePerS: 2 }], ttftMs: 3_000, outputTokens: 1, patienceMs: 1_000 }
    } as const
    const leaving = Play.play(scenario({ ...slow, leaves: true }), "ballast", 1)
    for (const { code, endedMs, kind } of leaving.endings) {
      assert.deepStrictEqual([kind, code], ["failed", Play.left])
      assert.closeTo(endedMs, 1_000, 0.01)
    }
    assert.strictEqual(leaving.stats["primary"]?.abandoned, leaving.visits.length)
    const waiting = Play.play(scenario(slow), "ballast", 1)
    assert.isTrue(waiting.endings.every((ending) => ending.kind === "answered" && !isGood(ending)))
    assert.strictEqual(waiting.stats["primary"]?.abandoned, 0)
  })

  it("tells refusals, for which nobody was called, from failures", () => {
    const full = scenario({ policies: { ballast: { bulkhead: { maxInFlight: 1, maxQueue: 0 } } } })
    const played = Play.play(full, "ballast", 1)
    const refused = played.endings.filter(({ kind }) => kind === "refused")
    assert.isNotEmpty(refused)
    for (const { code, endedMs } of refused) {
      assert.strictEqual(code, "BulkheadError.QueueFull")
      assert.isBelow(endedMs, 1)
    }
    assert.strictEqual(played.calls.length, played.visits.length - refused.length)

    const down = scenario({ providers: { primary: { faults: [{ kind: "outage" }] } } })
    const kinds = Play.play(down, "ballast", 1).endings.map(({ code, kind }) => `${kind} ${code}`)
    assert.include(kinds, "failed ProviderError.Overloaded")
    assert.include(kinds, "refused CircuitBreakerError.Open")
  })

  it("waits for what providers still do for those who have left: it is billed", () => {
    const abandoned = scenario({
      durationS: 5,
      leaves: true,
      providers: { primary: { abandoned: "continue", tokensPerChunk: 64 } },
      traffic: {
        tenants: [{ name: "app", ratePerS: 2 }],
        ttftMs: 4_000,
        outputTokens: 100,
        perTokenMs: 50,
        patienceMs: 500
      }
    })
    const { stats, visits } = Play.play(abandoned, "ballast", 1)
    assert.strictEqual(stats["primary"]?.generatedTokens, visits.length * 100)
    assert.strictEqual(stats["primary"]?.running, 0)
  })

  it("tells an observer of everything as it happens", () => {
    const seen = { endings: 0, calls: 0 }
    const { calls, endings } = Play.play(scenario(), "ballast", 1, {
      ending: () => void seen.endings++,
      call: () => void seen.calls++
    })
    assert.deepStrictEqual(seen, { endings: endings.length, calls: calls.length })
  })
})
