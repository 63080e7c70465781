import { assert, describe, it } from "@effect/vitest"
import { sharedMs } from "../../../../../bench/scenarios/s9/clock.ts"
import { readLate, starved, watch } from "../../../../../bench/scenarios/s9/stalls.ts"

const stall = (fromMs: number, toMs: number, waitedMs = 0) => ({ fromMs, toMs, waitedMs })

describe("a time read by a process that stalls", () => {
  const stalls = [stall(100, 145)]

  it("is late during the stall and right after it", () => {
    assert.isTrue(readLate(stalls, 90, 120, 10))
    assert.isTrue(readLate(stalls, 90, 146, 10))
    assert.isFalse(readLate(stalls, 90, 99, 10))
  })

  it("is not late when the stall was over some time before", () => {
    assert.isFalse(readLate(stalls, 90, 200, 10))
  })

  it("is not late when the stall was over before the span began", () => {
    assert.isFalse(readLate(stalls, 146, 148, 10))
  })

  it("may be late by as much as is put up with", () => {
    assert.isTrue(readLate(stalls, 90, 120, 39))
    assert.isFalse(readLate(stalls, 90, 120, 40))
  })
})

describe("a server", () => {
  it("that waits for a core is starved, wherever in the span it is", () => {
    assert.isTrue(starved([stall(100, 140, 30)], 90, 200, 10))
    assert.isFalse(starved([stall(100, 140, 30)], 150, 200, 10))
  })

  it("that waits often for a little is starved as well", () => {
    const often = Array.from({ length: 10 }, (_, index) => stall(100 + index * 5, 105 + index * 5, 3))
    assert.isTrue(starved(often, 90, 200, 29))
    assert.isFalse(starved(often, 90, 200, 30))
  })

  it("that stalls by its own work is not", () => {
    assert.isFalse(starved([stall(100, 140, 3)], 90, 200, 10))
  })
})

describe("the watch", () => {
  it("sees a loop that does not turn, and forgets what it has reported", async () => {
    const seen = watch()
    await new Promise((resolve) => setTimeout(resolve, 20))
    const from = sharedMs()
    while (sharedMs() - from < 40);
    const to = sharedMs()
    await new Promise((resolve) => setTimeout(resolve, 20))
    const { delayMaxMs, stalls } = seen.report()
    assert.isTrue(stalls.some((each) => each.fromMs < to && each.toMs > from))
    assert.isAtLeast(delayMaxMs, 30)
    const next = seen.end()
    assert.isFalse(next.stalls.some((each) => each.fromMs < to))
  })
})
