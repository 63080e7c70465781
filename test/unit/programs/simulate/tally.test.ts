import { assert, describe, it } from "@effect/vitest"
import * as Tally from "../../../../src/programs/simulate/tally.ts"
import { ending } from "../../../support/scenario.ts"

describe("tally", () => {
  it("counts each visit once, in the second in which it was to be sent", () => {
    const tally = Tally.make(
      [
        ending({ atMs: 0 }, { endedMs: 5_000 }),
        ending({ atMs: 999 }, { endedMs: 10_001 }),
        ending({ atMs: 1_000 }, { kind: "refused", code: "BulkheadError.QueueFull", endedMs: 3 }),
        ending({ atMs: 1_500 }, { kind: "failed", code: "ProviderError.Timeout", endedMs: 8_000 }),
        ending({ atMs: 1_600 }, { rung: "smaller-model" })
      ],
      [{ atMs: 10 }, { atMs: 1_000 }, { atMs: 1_001 }, { atMs: 9_000 }],
      2
    )
    assert.deepStrictEqual(tally.seconds, [
      { offered: 2, good: 1, late: 1, refused: 0, failed: 0, calls: 1 },
      { offered: 3, good: 1, late: 0, refused: 1, failed: 1, calls: 2 }
    ])
    assert.deepInclude(tally, { offered: 5, good: 2, late: 1, refused: 1, failed: 1, degraded: 1, calls: 4 })
    assert.deepStrictEqual(tally.codes, { "BulkheadError.QueueFull": 1, "ProviderError.Timeout": 1 })
  })

  it("times whole answers, first tokens and refusals apart", () => {
    const tally = Tally.make(
      [
        ending({}, { endedMs: 300, firstTokenMs: 30 }),
        ending({}, { endedMs: 100, firstTokenMs: 10 }),
        ending({}, { endedMs: 200, kind: "failed", code: "ProviderError.Truncated", firstTokenMs: 20 }),
        ending({}, { endedMs: 7, kind: "refused", code: "DeadlineError.Exceeded" })
      ],
      [],
      1
    )
    assert.deepStrictEqual(tally.whole, { p50: 100, p95: 300, p99: 300 })
    assert.deepStrictEqual(tally.firstToken, { p50: 20, p95: 30, p99: 30 })
    assert.deepStrictEqual(tally.refusal, { p50: 7, p95: 7, p99: 7 })
    assert.deepStrictEqual(Tally.make([], [], 1).whole, { p50: null, p95: null, p99: null })
  })

  it("keeps the tenants' accounts by the provider's time, and judges how it was divided", () => {
    const small = Array.from({ length: 4 }, () => ending({ tenant: "small", serviceMs: 500 }))
    const whale = [
      ...Array.from({ length: 6 }, () => ending({ tenant: "whale" })),
      ...Array.from({ length: 20 }, () => ending({ tenant: "whale" }, { kind: "refused", code: "x" }))
    ]
    const tally = Tally.make([...whale, ...small], [], 1)
    assert.deepStrictEqual(tally.tenants, [
      { tenant: "small", offered: 4, good: 4, wanted: 2_000, got: 2_000 },
      { tenant: "whale", offered: 26, good: 6, wanted: 26_000, got: 6_000 }
    ])
    assert.strictEqual(Tally.jain(tally), 1)
    const starved = Tally.make([...whale, ...small.map((each) => ({ ...each, kind: "failed" as const }))], [], 1)
    assert.strictEqual(Tally.jain(starved), 0.5)
  })
})
