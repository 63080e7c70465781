/** The state machine beside a simple model of it, under calls, verdicts and times in any order. */
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import type { BreakerPolicy } from "../../../../src/domain/policy.ts"
import { Cell } from "../../../../src/layers/circuit-breaker/cell.ts"
import type { Lease } from "../../../../src/layers/circuit-breaker/lease.ts"
import type { BreakerTransition } from "../../../../src/services/circuit-breaker.ts"
import { Model } from "../../../support/breaker-model.ts"
import type { ModelCall } from "../../../support/breaker-model.ts"

const base: BreakerPolicy = {
  windowMs: 2_000,
  minimumCalls: 3,
  failureRate: 0.5,
  slowRate: 0.5,
  slowMs: 300,
  slowGapMs: 100,
  // Whatever is usual, nothing but the fixed limits is slow: the model does not learn.
  slowFactor: 1e9,
  openMs: 1_000,
  maxOpenMs: 4_000,
  probes: 2,
  maxOpenShare: 0.67
}

/** A real breaker and its model, under one clock. */
class Pair {
  readonly model: Model
  readonly transitions: Array<BreakerTransition> = []
  readonly cell: Cell
  readonly calls: Array<{ readonly lease: Lease; readonly call: ModelCall }> = []

  constructor(policy: BreakerPolicy) {
    const model = new Model(policy)
    this.model = model
    this.cell = new Cell("one", {
      policy,
      now: () => model.now,
      random: () => 0.5,
      mayOpen: (_cell, _at, cause) => model.may[cause],
      changed: (transition) => this.transitions.push(transition)
    })
  }

  admit(): void {
    const lease = this.cell.admit(this.model.now)
    const call = this.model.admit()
    assert.strictEqual(lease !== undefined, call !== undefined, "admitted")
    if (lease !== undefined && call !== undefined) this.calls.push({ lease, call })
  }

  same(): void {
    const { model } = this
    this.cell.look(model.now)
    model.look()
    assert.strictEqual(this.cell.state, model.state)
    assert.strictEqual(this.cell.spared, model.spared)
    assert.deepStrictEqual(
      this.transitions,
      model.transitions.map((transition) => ({ key: "one", ...transition }))
    )
    if (model.state === "open") assert.strictEqual(this.cell.waitMs(model.now), model.openUntil - model.now)
    else if (model.now < model.batchFrom) {
      assert.strictEqual(this.cell.waitMs(model.now), model.batchFrom - model.now)
    }
  }
}

type Step = (pair: Pair) => void

/** A step about one of the calls made so far, the latest ones rather than the oldest. */
const about =
  (which: number, act: (lease: Lease, call: ModelCall, model: Model) => void): Step =>
  (pair) => {
    const one = pair.calls.at(-1 - which)
    if (one !== undefined) act(one.lease, one.call, pair.model)
  }

const which = fc.nat(6)
const wait = fc.oneof(fc.integer({ min: 0, max: 150 }), fc.constantFrom(200, 301, 601, 1_000, 4_001, 30_000))
const ms = fc.constantFrom(10, 300, 301, 2_000)

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 18, arbitrary: fc.constant<Step>((pair) => pair.admit()) },
  {
    weight: 15,
    arbitrary: wait.map((passed): Step => (pair) => {
      pair.model.now += passed
    })
  },
  {
    weight: 12,
    arbitrary: fc.tuple(which, fc.boolean()).map(([n, streamed]) =>
      about(n, (lease, call, model) => {
        lease.begin(streamed)
        model.begin(call, streamed)
      })
    )
  },
  {
    weight: 12,
    arbitrary: fc.tuple(which, ms).map(([n, took]) =>
      about(n, (lease, call, model) => {
        lease.succeed(took)
        model.succeed(call, took)
      })
    )
  },
  {
    weight: 12,
    arbitrary: fc.tuple(which, fc.constantFrom(0, 0, 0, 700, 100_000)).map(([n, retryAfterMs]) =>
      about(n, (lease, call, model) => {
        lease.fail(retryAfterMs)
        model.fail(call, retryAfterMs)
      })
    )
  },
  {
    weight: 3,
    arbitrary: fc.tuple(which, ms).map(([n, took]) =>
      about(n, (lease, call, model) => {
        lease.cutShort(took)
        model.cutShort(call, took)
      })
    )
  },
  {
    weight: 6,
    arbitrary: fc.tuple(which, fc.constantFrom(10, 101, 101), fc.integer({ min: 1, max: 5 })).map(([n, gap, times]) =>
      about(n, (lease, call, model) => {
        for (let i = 0; i < times; i++) {
          lease.gap(gap)
          model.gap(call, gap)
        }
      })
    )
  },
  {
    weight: 6,
    arbitrary: which.map((n) =>
      about(n, (lease, call, model) => {
        lease.release()
        model.release(call)
      })
    )
  },
  {
    weight: 3,
    arbitrary: fc.tuple(fc.boolean(), fc.boolean()).map(([failures, slowness]): Step => ({ model }) => {
      model.may = { failures, slowness }
    })
  },
  {
    weight: 1,
    arbitrary: wait.map((forMs): Step => ({ cell, model }) => {
      cell.trip(model.now, forMs)
      model.trip(forMs)
    })
  },
  {
    weight: 1,
    arbitrary: wait.map((forMs): Step => ({ cell, model }) => {
      cell.reset(model.now, forMs)
      model.reset(forMs)
    })
  }
)

const policies = fc
  .record({
    minimumCalls: fc.integer({ min: 1, max: 5 }),
    failureRate: fc.constantFrom(0, 0.3, 0.5, 1),
    slowRate: fc.constantFrom(0, 0.5, 1),
    probes: fc.integer({ min: 1, max: 3 })
  })
  .map((some) => ({ ...base, ...some }))

describe("Cell", () => {
  it("does what the model does", () => {
    const seen = new Set<string>()
    fc.assert(
      fc.property(policies, fc.array(step, { maxLength: 80, size: "max" }), fc.boolean(), (policy, steps, asked) => {
        const pair = new Pair(policy)
        for (const act of steps) {
          act(pair)
          // Asking changes what is noticed when: with it and without it they must agree.
          if (asked) pair.same()
        }
        pair.same()
        for (const { from, reason, to } of pair.transitions) seen.add(`${from} > ${to}: ${reason}`)
      }),
      { numRuns: 1_500 }
    )
    for (const transition of [
      "closed > open: failure-rate",
      "closed > open: slow-first-token",
      "closed > open: slow-gap",
      "closed > half-open: failure-rate",
      "open > half-open: open-time-over",
      "half-open > open: probe-failed",
      "half-open > closed: probes-succeeded",
      "half-open > closed: manual"
    ]) {
      assert.isTrue(seen.has(transition), transition)
    }
  })

  it("lets no more probes out at a time than it may, whatever becomes of them", () => {
    fc.assert(
      fc.property(policies, fc.array(step, { maxLength: 80, size: "max" }), (policy, steps) => {
        const pair = new Pair(policy)
        for (const act of steps) {
          act(pair)
          assert.isAtLeast(pair.cell.probing, 0)
          assert.isAtMost(pair.cell.probing, policy.probes)
        }
        for (const { lease } of pair.calls) lease.release()
        assert.strictEqual(pair.cell.probing, 0)
      })
    )
  })

  it("a dead provider gets the calls of the trip, and so many probes for each open time", () => {
    fc.assert(
      fc.property(
        policies,
        fc.array(fc.integer({ min: 1, max: 400 }), { maxLength: 300, size: "max" }),
        (policy, gaps) => {
          const pair = new Pair(policy)
          const { cell, model } = pair
          let calls = 0
          for (const afterMs of gaps) {
            model.now += afterMs
            const lease = cell.admit(model.now)
            if (lease === undefined) continue
            calls++
            lease.begin()
            lease.fail()
          }
          const periods = pair.transitions.filter(({ to }) => to === "half-open").length
          const trip = Math.max(policy.minimumCalls, calls - policy.probes * periods)
          if (pair.transitions.length > 0) assert.isAtMost(trip, policy.minimumCalls)
          // An open time is never shorter than a second here.
          assert.isAtMost(periods, 1 + model.now / 1_000)
        }
      )
    )
  })

  it("every transition begins where the last one ended, one generation later", () => {
    fc.assert(
      fc.property(policies, fc.array(step, { maxLength: 80, size: "max" }), (policy, steps) => {
        const pair = new Pair(policy)
        for (const act of steps) act(pair)
        let state = "closed"
        pair.transitions.forEach(({ atMs, from, generation, to }, index) => {
          assert.strictEqual(from, state)
          assert.strictEqual(generation, index + 1)
          assert.isAtLeast(atMs, pair.transitions[index - 1]?.atMs ?? 0)
          state = to
        })
      })
    )
  })
})
