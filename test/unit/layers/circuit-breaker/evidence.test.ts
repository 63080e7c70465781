import { assert, describe, it } from "@effect/vitest"
import { defaults } from "../../../../src/domain/policy.ts"
import { Evidence } from "../../../../src/layers/circuit-breaker/evidence.ts"

const policy = {
  ...defaults.breaker,
  windowMs: 10_000,
  minimumCalls: 10,
  failureRate: 0.5,
  slowRate: 0.5,
  slowMs: 1_000
}

const call = () => ({ countedAt: 0, begunAs: -1, outcome: -1 })

/** Good calls every 50 ms for 9 s. Ends at 9,000. */
const healthy = () => {
  const evidence = new Evidence(policy)
  for (let at = 50; at <= 9_000; at += 50) {
    const one = call()
    evidence.begin(one, at)
    evidence.answered(one, at)
  }
  return evidence
}

describe("Evidence", () => {
  it("by the whole window: half of ten, whatever the order", () => {
    const evidence = new Evidence(policy)
    for (let i = 0; i < 5; i++) evidence.failed(call(), 0)
    for (let i = 0; i < 4; i++) evidence.answered(call(), 0)
    assert.isUndefined(evidence.charge(0, true, false))
    evidence.answered(call(), 0)
    assert.strictEqual(evidence.charge(0, false, false), "failure-rate")
  })

  it("by the last few outcomes: a stricter share, and only when the last news are bad", () => {
    const evidence = healthy()
    let at = 9_000
    for (let i = 1; i <= 8; i++) {
      at += 50
      evidence.failed(call(), at)
      assert.strictEqual(evidence.charge(at, true, false), i < 8 ? undefined : "failure-rate")
      assert.isUndefined(evidence.charge(at, false, false))
    }
  })

  it("by the last few to leave: those on their way speak for the provider", () => {
    const evidence = healthy()
    let condemned = false
    let failures = 0
    const running: Array<{ readonly leftAt: number; readonly call: ReturnType<typeof call> }> = []
    for (let at = 9_050; !condemned; at += 50) {
      const one = call()
      evidence.begin(one, at)
      running.push({ leftAt: at, call: one })
      // Each fails after 100 ms, and answers to older calls come all the time.
      evidence.answered(call(), at)
      if (running[0]!.leftAt > at - 100) continue
      condemned = evidence.failed(running.shift()!.call, at)
      failures++
      assert.isAtMost(failures, 8)
    }
    assert.strictEqual(failures, 8)
    assert.strictEqual(evidence.charge(9_600, true, true), "failure-rate")
  })

  it("not before the minimum of calls, however bad", () => {
    const evidence = new Evidence(policy)
    for (let i = 0; i < 9; i++) {
      evidence.slow(call(), i * 100, i * 100)
      assert.isUndefined(evidence.charge(i * 100, true, true))
    }
  })

  it("slow ones since when they are slow, not since somebody asked", () => {
    const evidence = healthy()
    for (let i = 0; i < 8; i++) evidence.slow(call(), 9_500, 9_000 + 50 * i)
    assert.strictEqual(evidence.charge(9_500, true, false), "slow-first-token")
    const moment = healthy()
    for (let i = 0; i < 8; i++) moment.slow(call(), 9_500, 9_450)
    assert.isUndefined(moment.charge(9_500, true, false))
  })

  it("a call that was answered and fails later is one failure, and no call more", () => {
    const evidence = new Evidence(policy)
    const calls = Array.from({ length: 9 }, call)
    for (const one of calls) evidence.answered(one, 0)
    for (const one of calls) evidence.amend(one, 0)
    assert.isUndefined(evidence.charge(0, true, false))
    evidence.answered(call(), 0)
    assert.strictEqual(evidence.charge(0, false, false), "failure-rate")
  })

  it("gaps have samples, a rate and a norm of their own", () => {
    const evidence = new Evidence(policy)
    for (let i = 0; i < 100; i++) assert.isFalse(evidence.gap(i * 100, 20))
    assert.isUndefined(evidence.charge(10_000, false, false))
    for (let i = 1; i <= 8; i++) {
      const at = 10_000 + i * 50
      assert.isTrue(evidence.gap(at, 200))
      assert.strictEqual(evidence.charge(at, true, false), i < 8 ? undefined : "slow-gap")
    }
    evidence.clear()
    assert.isUndefined(evidence.charge(10_400, true, false))
    // What is usual outlives the outcomes, but not this:
    assert.isTrue(evidence.gap(10_400, 200))
    evidence.unlearn()
    assert.isFalse(evidence.gap(10_400, 200))
  })

  it("streams and whole answers are learned apart; whole answers have no fixed limit", () => {
    const evidence = new Evidence(policy)
    assert.strictEqual(evidence.slowMs(true), 1_000)
    assert.strictEqual(evidence.slowMs(false), Infinity)
    for (let i = 0; i < 10; i++) {
      evidence.learn(i, true, 100)
      evidence.learn(i, false, 5_000)
    }
    assert.strictEqual(evidence.slowMs(true), 400)
    assert.strictEqual(evidence.slowMs(false), 20_000)
  })
})
