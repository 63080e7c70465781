import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fc from "fast-check"
import { defaults } from "../../../../src/domain/policy.ts"
import type { RetryPolicyValues } from "../../../../src/domain/policy.ts"
import * as RetryBudgetMemory from "../../../../src/layers/retry-budget/memory.ts"
import type { Lease } from "../../../../src/services/guard.ts"
import type { Draw } from "../../../../src/services/retry-budget.ts"
import { enter } from "../../../support/raw-entry.ts"
import { suite } from "../../../conformance/retry-budget.ts"

suite("memory", RetryBudgetMemory.layer)

/** A budget whose ways in are plain functions. */
const make = (policy: RetryPolicyValues) => {
  const budget = RetryBudgetMemory.make(policy)
  return {
    deposit: budget.deposit,
    enter: (): Lease => Effect.runSync(enter(budget.enterUnsafe)),
    draw: (): Draw => Effect.runSync(enter(budget.drawUnsafe))
  }
}

/** Numbers from 0 to 1 of a fixed sequence. */
const uniforms = (seed: number) => {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return (state + 0.5) / 2 ** 32
  }
}

/** Runs things at their times, in order. */
const timetable = () => {
  const entries: Array<{ readonly at: number; readonly act: (now: number) => void }> = []
  return {
    at: (at: number, act: (now: number) => void) => {
      let index = entries.length
      while (index > 0 && entries[index - 1]!.at < at) index--
      entries.splice(index, 0, { at, act })
    },
    run: () => {
      for (let next = entries.pop(); next !== undefined; next = entries.pop()) next.act(next.at)
    }
  }
}

/** A fleet under load where each call fails by chance; failures come at once, answers after 0.5 to 1.5 s. */
const fleet = (failing: number, seconds: number, processes = 20, perSecond = 4) => {
  const random = uniforms(7)
  const { at, run } = timetable()
  const result = { requests: 0, attempts: 0, good: 0 }
  const policy = { ...defaults.retry, processes }
  for (let process = 0; process < processes; process++) {
    const budget = make(policy)
    const attempt = (now: number, retry: number, lease: Lease): void => {
      result.attempts++
      const good = random() >= failing
      at(now + (good ? 500 + 1_000 * random() : 50), (then) => {
        lease.release()
        if (good) {
          result.good++
          return budget.deposit()
        }
        if (retry >= policy.maxRetries) return
        const draw = budget.draw()
        if (draw.granted) at(then + policy.baseMs * 2 ** retry * random(), (later) => attempt(later, retry + 1, draw))
      })
    }
    const arrive = (now: number): void => {
      if (now > seconds * 1_000) return
      result.requests++
      attempt(now, 0, budget.enter())
      at(now - (1_000 / perSecond) * Math.log(random()), arrive)
    }
    at((1_000 / perSecond) * random(), arrive)
  }
  run()
  return { success: result.good / result.requests, attemptsPerRequest: result.attempts / result.requests }
}

/**
 * The metastable storm (Huang et al., OSDI 2022) with nothing but the budget to
 * stand in it: 100 slots of 1 s on average, 80 % load, timeouts of 5 s, a
 * provider that works on for callers who have given up, and 80 % of it gone
 * from 30 s to 40 s. Good answers of each second's requests.
 */
const storm = (policy: RetryPolicyValues, processes = 20) => {
  const random = uniforms(3)
  const { at, run } = timetable()
  const sent = new Float64Array(130)
  const good = new Float64Array(130)
  const queue: Array<{ readonly ms: number; readonly done: (now: number) => void }> = []
  let slots = 100
  let busy = 0
  let attempts = 0
  const pump = (now: number): void => {
    while (busy < slots) {
      const job = queue.shift()
      if (job === undefined) return
      busy++
      at(now + job.ms, (then) => {
        busy--
        job.done(then)
        pump(then)
      })
    }
  }
  at(30_000, () => (slots = 20))
  at(40_000, (now) => {
    slots = 100
    pump(now)
  })
  for (let process = 0; process < processes; process++) {
    const budget = make(policy)
    const attempt = (now: number, retry: number, lease: Lease, second: number): void => {
      attempts++
      let over = false
      const end = (ok: boolean, then: number): void => {
        if (over) return
        over = true
        lease.release()
        if (ok) {
          good[second]!++
          return budget.deposit()
        }
        if (retry >= 3) return
        const draw = budget.draw()
        if (draw.granted) at(then + 100 * 2 ** retry * random(), (later) => attempt(later, retry + 1, draw, second))
      }
      queue.push({ ms: Math.min(4_000, -1_000 * Math.log(random())), done: (then) => end(true, then) })
      pump(now)
      at(now + 5_000, (then) => end(false, then))
    }
    const arrive = (now: number): void => {
      if (now >= 130_000) return
      sent[Math.floor(now / 1_000)]!++
      attempt(now, 0, budget.enter(), Math.floor(now / 1_000))
      at(now - 250 * Math.log(random()), arrive)
    }
    at(250 * random(), arrive)
  }
  run()
  const share = (from: number, to: number): number => {
    const sum = (of: Float64Array) => of.slice(from, to).reduce((total, one) => total + one, 0)
    return sum(good) / sum(sent)
  }
  return { share, attemptsPerRequest: attempts / sent.reduce((total, one) => total + one, 0) }
}

describe("retry budget in memory", () => {
  it("ends a storm that retries without a budget keep alive", () => {
    const endless = storm({ ...defaults.retry, budgetMax: 1e9, budgetConcurrent: 1, budgetRatio: 1 })
    assert.isBelow(endless.share(70, 125), 0.05)
    const { attemptsPerRequest, share } = storm({ ...defaults.retry, processes: 20 })
    assert.isAtLeast(share(10, 30), 0.99)
    assert.isAtLeast(share(70, 75), 0.95)
    assert.isAtLeast(share(75, 125), 0.99)
    assert.isAtMost(attemptsPerRequest, 1.15)
  })

  it("with 2 % independent failures 20 processes of 4 requests/s lose fewer than 1 in 1,000", () => {
    const { attemptsPerRequest, success } = fleet(0.02, 120)
    assert.isAtLeast(success, 0.999)
    assert.isAtMost(attemptsPerRequest, 1.03)
  })

  it("whatever share fails, a fleet makes at most 1.15 attempts for each request of two minutes", () => {
    for (const failing of [0.05, 0.2, 0.5, 0.9, 1]) {
      assert.isAtMost(fleet(failing, 120).attemptsPerRequest, 1.15, `${failing} failing`)
    }
  })

  it("as many failures as open a breaker can all be answered elsewhere, in every process of a fleet", () => {
    for (const processes of [1, 2, 20, 1_000]) {
      const budget = make({ ...defaults.retry, processes })
      const first = Array.from({ length: 20 }, () => budget.enter())
      for (const lease of first) lease.release()
      // Each fallback call is still running when the next one is drawn.
      const draws = Array.from({ length: defaults.breaker.minimumCalls }, () => budget.draw())
      assert.isTrue(draws.every(({ granted }) => granted))
    }
  })

  const step = fc.oneof(
    fc.record({ kind: fc.constantFrom("enter", "draw", "deposit") }),
    fc.record({ kind: fc.constantFrom("release", "unused"), which: fc.nat(20) })
  )
  const values = fc.record({
    budgetMax: fc.integer({ min: 0, max: 30 }),
    budgetRatio: fc.constantFrom(0, 0.1, 0.5, 1),
    budgetConcurrent: fc.constantFrom(0, 0.2, 0.5, 1),
    budgetMinConcurrent: fc.integer({ min: 0, max: 30 }),
    processes: fc.integer({ min: 1, max: 40 })
  })

  it("grants exactly what bucket and cap allow, in any order of events", () => {
    fc.assert(
      fc.property(values, fc.array(step, { maxLength: 150, size: "max" }), (some, steps) => {
        const policy = { ...defaults.retry, ...some }
        const part = (of: number) => Math.max(Math.min(10, of), of / policy.processes)
        const budget = make(policy)
        const first: Array<Lease> = []
        const extra: Array<Draw> = []
        let saved = part(policy.budgetMax)
        for (const one of steps) {
          if (one.kind === "enter") first.push(budget.enter())
          else if (one.kind === "deposit") {
            budget.deposit()
            saved = Math.min(part(policy.budgetMax), saved + policy.budgetRatio)
          } else if (one.kind === "draw") {
            const draw = budget.draw()
            const cap = Math.max(
              part(policy.budgetMinConcurrent),
              policy.budgetConcurrent * (first.length + extra.length + 1)
            )
            assert.strictEqual(draw.granted, saved > 1 - 1e-6 && extra.length + 1 <= cap + 1e-6)
            if (!draw.granted) continue
            extra.push(draw)
            saved--
          } else if ("which" in one) {
            const all = [...first, ...extra]
            const lease = all[one.which]
            if (lease === undefined) continue
            if (one.which < first.length) first.splice(one.which, 1)[0]?.release()
            else {
              const [draw] = extra.splice(one.which - first.length, 1)
              if (one.kind === "unused") {
                draw?.unused()
                saved = Math.min(part(policy.budgetMax), saved + 1)
              } else draw?.release()
            }
          }
        }
      })
    )
  })
})
