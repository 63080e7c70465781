import { assert, describe, it } from "@effect/vitest"
import { Level } from "../../../../src/layers/bulkhead/level.ts"
import { Waiter } from "../../../../src/layers/bulkhead/waiter.ts"
import { ask } from "../../../conformance/bulkhead-kit.ts"

let order = 0
const join = (level: Level, tenant: string, now = 0, tokens = 100) => {
  const waiter = new Waiter(ask({ tenant, tokens }), undefined, level.queue.tenant(tenant, 1), tokens, 0, order++, now)
  level.join(waiter, now)
}
const serve = (level: Level, now: number) => level.serve(level.queue.next() ?? assert.fail("nobody waits"), now)

/** A level that has given a place each second for a while. */
const steady = () => {
  const level = new Level(1)
  for (let i = 0; i < 60; i++) join(level, "acme")
  for (let now = 1_000; now <= 40_000; now += 1_000) serve(level, now)
  return level
}

const wait = (level: Level, tenant: string, gapMs = 1_000, beyond = 0) => level.waitMs(tenant, 1, 100, 0, gapMs, beyond)

describe("Level", () => {
  it("knows nothing at first, and takes what is known of the provider", () => {
    assert.strictEqual(new Level(1).gapMs(0, 0), 0)
    assert.strictEqual(new Level(1).gapMs(0, 500), 500)
    assert.strictEqual(wait(new Level(1), "acme", 0), 0)
  })

  it("learns the time between its own places, whatever the provider's is", () => {
    assert.approximately(steady().gapMs(40_000, 10), 1_000, 250)
  })

  it("a wait that lasts counts before it ends", () => {
    const level = steady()
    const usual = level.gapMs(40_000, 1_000)
    assert.approximately(level.gapMs(40_900, 1_000), usual, 1e-6)
    assert.isAbove(level.gapMs(60_000, 1_000), usual * 1.5)
  })

  it("nobody waits: nothing lasts", () => {
    const level = new Level(1)
    join(level, "acme")
    serve(level, 100)
    assert.isAtMost(level.gapMs(30_000, 100), 100 + 1e-9)
  })

  it("a wait grows with those ahead, and with the calls above the limit", () => {
    const level = new Level(1)
    const empty = wait(level, "acme")
    assert.isAtLeast(empty, 1_000)
    assert.isAtMost(empty, 2_000)
    for (let i = 0; i < 10; i++) join(level, "acme")
    assert.isAtLeast(wait(level, "acme"), 11_000)
    assert.isAtLeast(wait(level, "acme", 1_000, 5), 16_000)
  })

  it("in a long queue of one tenant another waits no longer than for its turn", () => {
    const level = new Level(1)
    for (let i = 0; i < 50; i++) join(level, "whale")
    assert.isAtMost(wait(level, "small"), 3_000)
    assert.isAtLeast(wait(level, "whale"), 51_000)
  })

  it("those who will come later and go before it are reckoned with, where others wait", () => {
    const alone = new Level(1)
    const among = new Level(1)
    for (const level of [alone, among]) {
      join(level, "owes", 0, 500)
      serve(level, 0)
    }
    for (const tenant of ["a", "b", "c", "d"]) join(among, tenant)
    // It has had five calls' work: until its turn the four will have had more than the one call each that waits now.
    assert.isAtMost(wait(alone, "owes"), 2_000)
    assert.isAtLeast(wait(among, "owes"), 10_000)
  })

  it("a claim that starts well before the last that waits is judged with the least caution, also under overload", () => {
    const level = new Level(1)
    for (let i = 0; i < 30; i++) join(level, "whale")
    const calm = [wait(level, "small"), wait(level, "whale")] as const
    for (let i = 0; i < 500; i++) level.decided(0, "whale", i % 2 === 0)
    assert.strictEqual(wait(level, "small"), calm[0])
    assert.isAbove(wait(level, "whale"), calm[1] + 5_000)
  })

  it("charges an estimate as it is until something is known, and nothing less than a token", () => {
    const level = new Level(1)
    assert.strictEqual(level.costOf(0, "acme", 1_000), 1_000)
    assert.strictEqual(level.costOf(0, "acme", 0), 1)
  })

  it("charges what a tenant's estimates were worth, and others what all were", () => {
    const level = new Level(1)
    const acme = level.queue.tenant("acme", 1)
    for (let i = 0; i < 60; i++) level.settle(0, acme, 1_000, 1_000, 200)
    const exact = level.queue.tenant("exact", 1)
    for (let i = 0; i < 60; i++) level.settle(0, exact, 1_000, 1_000, 1_000)
    assert.approximately(level.costOf(0, "acme", 500), 100, 20)
    assert.approximately(level.costOf(0, "exact", 500), 500, 25)
    const unknown = level.costOf(0, "unknown", 500)
    assert.isAbove(unknown, 150)
    assert.isBelow(unknown, 490)
  })

  it("one strange call does not change what a tenant is charged by much", () => {
    const level = new Level(1)
    const acme = level.queue.tenant("acme", 1)
    for (let i = 0; i < 60; i++) level.settle(0, acme, 1_000, 1_000, 1_000)
    level.settle(0, acme, 1_000, 1, 1_000_000)
    assert.isBelow(level.costOf(0, "acme", 1_000), 1_600)
    level.settle(0, acme, 1_000, 0, 0)
    assert.isAbove(level.costOf(0, "acme", 1_000), 900)
  })
})
