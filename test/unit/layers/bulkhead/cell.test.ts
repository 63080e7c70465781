/** The cell without fibers: every event is one synchronous step, and after each of them its books balance. */
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import type { Priority } from "../../../../src/domain/caller.ts"
import { Cell } from "../../../../src/layers/bulkhead/cell.ts"
import type { Limit } from "../../../../src/layers/bulkhead/limit.ts"
import { ranks } from "../../../../src/layers/bulkhead/levels.ts"
import type { Permit } from "../../../../src/layers/bulkhead/permit.ts"
import { Waiter } from "../../../../src/layers/bulkhead/waiter.ts"
import { ask, policyOf } from "../../../conformance/bulkhead-kit.ts"

/** A limit that moves when it is told to, heard of by the cell with the next report. */
class Moving implements Limit {
  current = 3
  taken(): void {}
  firstToken(): void {}
  pace(): void {}
  answered(): void {}
  dropped(): void {}
}

const maxQueue = 6

interface Alarm {
  at: number
  readonly onExpire: () => void
}

const world = () => {
  let now = 0
  const alarms: Array<Alarm> = []
  const limit = new Moving()
  const timers = {
    now: () => now,
    make: (onExpire: () => void) => {
      const alarm: Alarm = { at: Infinity, onExpire }
      alarms.push(alarm)
      return {
        arm: (at: number) => {
          alarm.at = at
        },
        disarm: () => {
          alarm.at = Infinity
        }
      }
    }
  }
  const cell = new Cell(policyOf({ maxQueue, maxWaitMs: 2_000 }), limit, timers, () => 0.5)
  const pass = (ms: number) => {
    now += ms
    for (const alarm of alarms) {
      if (alarm.at > now) continue
      alarm.at = Infinity
      alarm.onExpire()
    }
  }
  return { cell, limit, pass, now: () => now }
}

describe("Cell", () => {
  it("whatever happens: no place beside a waiter, none lost, every claim ends once, no higher one put out for a lower", () =>
    fc.assert(
      fc.property(fc.array(event, { maxLength: 200 }), (events) => {
        const { cell, limit, now, pass } = world()
        const waiting = new Set<Waiter>()
        const held: Array<Permit> = []
        /** Those who have got a place, or an end, since they were looked at. */
        const sweep = (arrived?: Priority) => {
          for (const waiter of waiting) {
            if (waiter.waiting) continue
            waiting.delete(waiter)
            if (waiter.permit !== undefined) held.push(waiter.permit)
            else if (arrived !== undefined) assert.isAtLeast(waiter.rank, ranks[arrived], "a higher one was put out")
          }
        }
        for (const { cost, deadlineMs, kind, pick, priority, tenant } of events) {
          if (kind === "arrive") {
            const request = ask({
              tenant,
              priority,
              tokens: cost,
              plan: tenant === "c" ? "premium" : "standard",
              deadline: { atMs: now() + deadlineMs, budgetMs: deadlineMs }
            })
            const permit = cell.tryTake(request, now())
            const claim = permit === undefined ? cell.enqueue(request, undefined, now()) : undefined
            if (permit !== undefined) held.push(permit)
            else if (claim instanceof Waiter) waiting.add(claim)
            sweep(priority)
          } else if (kind === "release" && held.length > 0) {
            const [permit] = held.splice(pick % held.length, 1)
            permit?.release()
          } else if (kind === "leave" && waiting.size > 0) {
            const waiter = [...waiting][pick % waiting.size]
            if (waiter !== undefined) cell.abandon(waiter)
          } else if (kind === "hand on" && held.length > 0) {
            const [permit] = held.splice(pick % held.length, 1)
            permit?.unused()
          } else if (kind === "pass") {
            pass(pick * 20)
          } else if (kind === "limit") {
            limit.current = 1 + (pick % 6)
            held[0]?.firstToken(pick)
          } else if (held.length > 0) {
            held[pick % held.length]?.settle(cost)
          }
          sweep()
          const { inFlight, queued } = cell.state
          assert.strictEqual(inFlight, held.length)
          assert.strictEqual(queued, waiting.size)
          assert.isAtMost(queued, maxQueue)
          if (queued > 0) assert.isAtLeast(inFlight, limit.current, "somebody waits beside a free place")
        }
        pass(10_000)
        sweep()
        for (const permit of held) permit.release()
        assert.deepStrictEqual(cell.state, { limit: limit.current, inFlight: 0, queued: 0 })
      }),
      { numRuns: 300 }
    ))

  it("never gives a place above the limit", () => {
    const { cell, limit } = world()
    const held = [1, 2, 3].map(() => cell.tryTake(ask(), 0) ?? assert.fail("a place was free"))
    assert.isUndefined(cell.tryTake(ask(), 0))
    const waiter = cell.enqueue(ask(), undefined, 0)
    limit.current = 1
    for (const [index, permit] of held.entries()) {
      assert.strictEqual(cell.state.queued, 1)
      permit.release()
      assert.strictEqual(cell.state.inFlight, index === 2 ? 1 : 2 - index)
    }
    assert.isTrue(waiter instanceof Waiter && waiter.permit !== undefined)
  })

  it("thousands of tenants leave no account behind, however their claims end", () => {
    const { cell, now, pass } = world()
    const busy = [1, 2, 3].map(() => cell.tryTake(ask({ tenant: "busy" }), 0) ?? assert.fail("a place was free"))
    const { queue } = busy[0]?.level ?? assert.fail()
    for (let i = 0; i < 5_000; i++) {
      const claim = cell.enqueue(ask({ tenant: `t-${i}` }), undefined, now())
      if (!(claim instanceof Waiter)) return assert.fail("there was room")
      if (i % 4 === 0) cell.abandon(claim)
      else if (i % 4 === 1) pass(3_000)
      else {
        busy.shift()?.release()
        const permit = claim.permit ?? assert.fail("no place was given")
        busy.push(permit)
        if (i % 4 === 3) {
          permit.unused()
          busy.pop()
          busy.push(cell.tryTake(ask({ tenant: `again-${i}` }), now()) ?? assert.fail("a place was free"))
        }
      }
      assert.isAtMost(queue.remembered, 1_100)
    }
    for (const permit of busy) permit.release()
    assert.isAtMost(queue.remembered, 1)
  })

  it("a wait that has ended is not ended again by its alarm or by its fiber", () => {
    const { cell, pass } = world()
    const held = [1, 2, 3].map(() => cell.tryTake(ask(), 0) ?? assert.fail("a place was free"))
    const waiter = cell.enqueue(ask(), undefined, 0)
    if (!(waiter instanceof Waiter)) return assert.fail("there was room")
    held[0]?.release()
    pass(1e9)
    assert.deepStrictEqual(cell.state, { limit: 3, inFlight: 3, queued: 0 })
    waiter.permit?.release()
    cell.abandon(waiter)
    assert.deepStrictEqual(cell.state, { limit: 3, inFlight: 2, queued: 0 })
  })
})

const event = fc.record({
  kind: fc.constantFrom(
    "arrive",
    "arrive",
    "arrive",
    "release",
    "release",
    "leave",
    "hand on",
    "pass",
    "limit",
    "settle"
  ),
  tenant: fc.constantFrom("a", "b", "c", "d"),
  priority: fc.constantFrom<Array<Priority>>("critical", "standard", "background"),
  cost: fc.integer({ min: 0, max: 2_000 }),
  deadlineMs: fc.constantFrom(100, 1_000, 10_000, Infinity),
  pick: fc.nat(50)
})
