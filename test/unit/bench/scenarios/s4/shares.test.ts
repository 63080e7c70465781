/** Who counts as small, what is fair, and what is left for the whale. */
import { describe, expect, it } from "@effect/vitest"
import * as Shares from "../../../../../bench/scenarios/s4/shares.ts"
import * as Caller from "../../../../../src/domain/caller.ts"
import type { Ending } from "../../../../../src/programs/simulate/ending.ts"

let id = 0

/** `count` requests of 1 s each in the window that begins at `atMs`, of which `good` are answered in time. */
const requests = (tenant: string, atMs: number, count: number, good: number): ReadonlyArray<Ending> =>
  Array.from({ length: count }, (_, index) => ({
    visit: {
      id: id++,
      atMs: atMs + index,
      caller: Caller.make(tenant),
      patienceMs: 5_000,
      chat: { model: "chat", messages: [] },
      inputTokens: 1,
      outputTokens: 1,
      serviceMs: 1_000
    },
    kind: index < good ? "answered" : "refused",
    code: undefined,
    firstTokenMs: undefined,
    endedMs: 1_000,
    process: 0
  }))

// Two windows of 10 s, one slot: 10 s of work in each.
const windows = (endings: ReadonlyArray<Ending>) => Shares.windows(endings, { fromMs: 0, toMs: 20_000 }, 10_000, 1)

describe("shares", () => {
  it("fair shares are worked out window by window", () => {
    const all = windows([
      ...requests("whale", 0, 30, 7),
      ...requests("small", 0, 3, 3),
      ...requests("whale", 10_000, 30, 10)
    ])
    expect(Shares.total(all)).toEqual([
      { tenant: "whale", requests: 60, good: 17, asked: 60_000, got: 17_000, fair: 17_000 },
      { tenant: "small", requests: 3, good: 3, asked: 3_000, got: 3_000, fair: 3_000 }
    ])
    expect(Shares.figures(all, "whale", 10_000)).toEqual({
      small_tenant_success: 1,
      jain: 1,
      whale_leftover: 1,
      small_requests: 3,
      tenants: 2
    })
  })

  it("a starved tenant shows in success and in Jain's index", () => {
    const figures = Shares.figures(
      windows([...requests("whale", 0, 30, 9), ...requests("small", 0, 3, 1)]),
      "whale",
      10_000
    )
    expect(figures.small_tenant_success).toBeCloseTo(1 / 3)
    // The whale has 9 of its 7, the small one 1 of its 3.
    expect(figures.jain).toBeCloseTo((9 / 7 + 1 / 3) ** 2 / (2 * ((9 / 7) ** 2 + (1 / 3) ** 2)))
    expect(figures.whale_leftover).toBe(1)
  })

  it("a tenant that asks for more than half of a greedy one's share is not small in that window", () => {
    const { small_requests, whale_leftover } = Shares.figures(
      windows([...requests("whale", 0, 30, 2), ...requests("other", 0, 8, 5), ...requests("other", 10_000, 2, 2)]),
      "whale",
      10_000
    )
    expect(small_requests).toBe(2)
    // 5 of 10 were left.
    expect(whale_leftover).toBeCloseTo(0.4)
  })
})
