/** The queue's order and its accounts, beside a simple model; what is visible through the port is in its suite. */
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { FairQueue } from "../../../../src/layers/bulkhead/fair-queue.ts"
import type { Claim } from "../../../../src/layers/bulkhead/tenant.ts"

interface Item extends Claim<Item> {
  readonly name: string
}

let order = 0
const claim = (queue: FairQueue<Item>, id: string, cost = 100, weight = 1): Item => ({
  name: `${id}-${order}`,
  tenant: queue.tenant(id, weight),
  cost,
  order: order++,
  previous: undefined,
  next: undefined
})

const push = (queue: FairQueue<Item>, id: string, cost = 100, weight = 1): Item => {
  const item = claim(queue, id, cost, weight)
  queue.push(item)
  return item
}

/** Serve the next claim, and end its work at once. */
const serve = (queue: FairQueue<Item>, now = 0): Item => {
  const item = queue.next() ?? assert.fail("nobody waits")
  queue.serve(item)
  item.tenant.inFlight--
  queue.rest(item.tenant, now)
  return item
}

describe("FairQueue", () => {
  it("serves by start, the earlier arrival among equals", () => {
    const queue = new FairQueue<Item>()
    const items = ["a", "b", "c", "a", "b"].map((id) => push(queue, id))
    assert.deepStrictEqual(
      items.map(() => serve(queue)),
      items
    )
    assert.isUndefined(queue.next())
  })

  it("knows where a claim would start, and how many are ahead of it", () => {
    const queue = new FairQueue<Item>()
    for (let i = 0; i < 10; i++) push(queue, "whale")
    assert.strictEqual(queue.startOf("whale", 1), 1_000)
    assert.strictEqual(queue.ahead(1_000), 10)
    assert.strictEqual(queue.startOf("new", 1), 0)
    // The whale's first starts no later, and came before.
    assert.strictEqual(queue.ahead(0), 1)
    assert.strictEqual(queue.ahead(450), 5)
    push(queue, "premium", 100, 2)
    assert.strictEqual(queue.startOf("premium", 2), 50)
  })

  it("an estimate of those ahead is as good where only a sample of the tenants is looked at", () => {
    const queue = new FairQueue<Item>()
    for (let id = 0; id < 1_000; id++) for (let i = 0; i < 3; i++) push(queue, `t-${id}`)
    assert.approximately(queue.ahead(0), 1_000, 1)
    assert.approximately(queue.ahead(200), 3_000, 1)
  })

  it("forgets a tenant once the present has passed its last finish", () => {
    const queue = new FairQueue<Item>()
    push(queue, "once")
    for (let i = 0; i < 5; i++) push(queue, "busy")
    serve(queue)
    assert.isDefined(queue.find("once"))
    for (let i = 0; i < 3; i++) serve(queue)
    push(queue, "another")
    serve(queue)
    assert.isUndefined(queue.find("once"))
  })

  it("forgets a debt after a minute", () => {
    const queue = new FairQueue<Item>()
    push(queue, "debtor", 1_000_000)
    push(queue, "busy")
    push(queue, "busy")
    serve(queue, 0)
    serve(queue, 59_000)
    assert.isDefined(queue.find("debtor"))
    push(queue, "other")
    serve(queue, 61_000)
    assert.isUndefined(queue.find("debtor"))
  })

  it("thousands of tenants leave nothing behind, whether or not somebody always waits", () => {
    for (const contended of [true, false]) {
      const queue = new FairQueue<Item>()
      if (contended) for (let i = 0; i < 3; i++) push(queue, "always", 1e12)
      let most = 0
      for (let id = 0; id < 20_000; id++) {
        if (contended) {
          push(queue, `t-${id}`)
          serve(queue)
        } else {
          const tenant = queue.tenant(`t-${id}`, 1)
          queue.charge(tenant, 100)
          tenant.inFlight--
          queue.rest(tenant, id)
        }
        most = Math.max(most, queue.remembered)
      }
      assert.isAtMost(most, 1_100)
    }
  })

  it("a claim that leaves without being served leaves no account", () => {
    const queue = new FairQueue<Item>()
    for (let id = 0; id < 5_000; id++) {
      const item = push(queue, `t-${id}`)
      queue.remove(item)
      queue.rest(item.tenant, 0)
    }
    assert.isAtMost(queue.remembered, 1)
  })

  it("when nothing waits or runs nobody owes anything", () => {
    const queue = new FairQueue<Item>()
    for (let id = 0; id < 100; id++) push(queue, `t-${id}`, 1_000 * (id + 1))
    for (let id = 0; id < 100; id++) serve(queue)
    queue.settleAll()
    assert.isAtMost(queue.remembered, 1)
    const [first, second] = [push(queue, "t-99"), push(queue, "t-3")]
    assert.deepStrictEqual([serve(queue), serve(queue)], [first, second])
  })

  it("is what its list of claims is, whatever joins, leaves, is served and is corrected", () =>
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
        const queue = new FairQueue<Item>()
        const waiting: Array<Item> = []
        const running: Array<Item> = []
        for (const { change, cost, id, kind, pick } of steps) {
          if (kind === "push") waiting.push(push(queue, id, cost, id === "c" ? 2 : 1))
          else if (kind === "serve" && waiting.length > 0) {
            const item = queue.next() ?? assert.fail("nobody waits")
            const present = queue.present
            queue.serve(item)
            assert.isAtLeast(queue.present, present, "the present went back")
            waiting.splice(waiting.indexOf(item), 1)
            running.push(item)
          } else if (kind === "remove" && waiting.length > 0) {
            const [item] = waiting.splice(pick % waiting.length, 1)
            if (item === undefined) continue
            queue.remove(item)
            queue.rest(item.tenant, 0)
          } else if (kind === "settle" && running.length > 0) {
            const item = running[pick % running.length]
            if (item !== undefined) queue.settle(item.tenant, change)
          } else if (kind === "end" && running.length > 0) {
            const [item] = running.splice(pick % running.length, 1)
            if (item === undefined) continue
            item.tenant.inFlight--
            queue.rest(item.tenant, 0)
          }
          assert.strictEqual(queue.size, waiting.length)
          const tenants = new Set(waiting.map(({ tenant }) => tenant))
          const heads = [...tenants].map(({ head }) => head ?? assert.fail("a tenant without a claim"))
          const next = heads.toSorted((a, b) => a.tenant.first - b.tenant.first || a.order - b.order)[0]
          assert.strictEqual(queue.next(), next)
          const tails = [...tenants].map(({ tail }) => tail ?? assert.fail("a tenant without a claim"))
          const last = tails.toSorted((a, b) => b.tenant.last - a.tenant.last || b.order - a.order)[0]
          assert.strictEqual(queue.youngest(), last)
          assert.strictEqual(queue.last, last?.tenant.last ?? queue.present)
          assert.strictEqual(
            queue.waitingWeight,
            [...tenants].reduce((sum, { weight }) => sum + weight, 0)
          )
          for (const tenant of tenants) {
            const own = waiting.filter((item) => item.tenant === tenant)
            assert.strictEqual(tenant.size, own.length)
            assert.strictEqual(
              tenant.work,
              own.reduce((sum, item) => sum + item.cost, 0)
            )
          }
        }
        for (const item of running) item.tenant.inFlight--
        for (const item of running) queue.rest(item.tenant, 0)
        for (const item of waiting) queue.remove(item)
        for (const item of waiting) queue.rest(item.tenant, 0)
        queue.settleAll()
        assert.isAtMost(queue.remembered, 1)
      })
    ))
})

const step = fc.record({
  kind: fc.constantFrom("push", "push", "serve", "remove", "settle", "end"),
  id: fc.constantFrom("a", "b", "c", "d"),
  cost: fc.integer({ min: 1, max: 1_000 }),
  change: fc.integer({ min: -500, max: 5_000 }),
  pick: fc.nat(100)
})
