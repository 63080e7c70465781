/** The rules that hold for an adaptive limit whatever its step. */
import { assert, describe, it } from "@effect/vitest"
import { adaptive } from "../../../../src/layers/bulkhead/adaptive-limit.ts"
import type { Step, Window } from "../../../../src/layers/bulkhead/gradient.ts"
import type { Limit } from "../../../../src/layers/bulkhead/limit.ts"
import { policyOf } from "../../../conformance/bulkhead-kit.ts"

const policy = policyOf({ adaptive: true, minInFlight: 4, maxInFlight: 100 })
/** The geometric middle of the two. */
const start = 20

type Report = (limit: Limit, now: number, inFlight: number) => void

const first =
  (ms: number): Report =>
  (limit, now, inFlight) =>
    limit.firstToken(now, ms, inFlight)
const pace =
  (tokens: number, ms: number): Report =>
  (limit, now, inFlight) =>
    limit.pace(now, tokens, ms, inFlight)
const answer =
  (tokens: number, ms: number): Report =>
  (limit, now, inFlight) =>
    limit.answered(now, tokens, ms, inFlight)
const drop: Report = (limit, now, inFlight) => limit.dropped(now, inFlight)

/** A limit, a clock, and reports spread over time. */
class Bench {
  readonly limit: Limit
  now = 0
  constructor(limit: Limit = adaptive(policy)) {
    this.limit = limit
  }
  /** `count` reports over `ms`, with so many calls in flight (all places, where nothing is said). */
  over(ms: number, count: number, report: Report, inFlight = this.limit.current): number {
    this.limit.taken(inFlight)
    for (let i = 0; i < count; i++) {
      this.now += ms / count
      report(this.limit, this.now, inFlight)
    }
    return this.limit.current
  }
  /** One whole window of reports of the same kind. */
  window(report: Report, inFlight = this.limit.current): number {
    this.limit.taken(inFlight)
    for (let i = 0; i < 49; i++) report(this.limit, this.now, inFlight)
    this.now += 1_000
    report(this.limit, this.now, inFlight)
    return this.limit.current
  }
  /** Windows until the limit rests. */
  settle(report: Report): number {
    for (let i = 0; i < 40; i++) this.window(report)
    return this.limit.current
  }
}

/** A step that does as it is told, and says what it saw. */
const recorded = (answerWith: (window: Window) => number) => {
  const seen: Array<Window> = []
  const step: Step = (window) => {
    seen.push(window)
    return answerWith(window)
  }
  return { seen, bench: new Bench(adaptive(policy, step, () => ({ ratio: () => 2 }))) }
}

describe("adaptive limit", () => {
  it("begins in the geometric middle of floor and ceiling, or at five", () => {
    assert.strictEqual(adaptive(policy).current, start)
    assert.strictEqual(adaptive(policyOf({ minInFlight: 1, maxInFlight: 8 })).current, 5)
    assert.strictEqual(adaptive(policyOf({ minInFlight: 1, maxInFlight: 3 })).current, 3)
    // A floor above the ceiling is the ceiling.
    assert.strictEqual(adaptive(policyOf({ minInFlight: 9, maxInFlight: 3 })).current, 3)
  })

  it("a window is at least fifty reports", () => {
    const { bench, seen } = recorded(({ limit }) => limit)
    bench.over(60_000, 49, first(300))
    assert.strictEqual(seen.length, 0)
    bench.over(100, 1, first(300))
    assert.strictEqual(seen.length, 1)
  })

  it("and at least a second", () => {
    const { bench, seen } = recorded(({ limit }) => limit)
    bench.over(900, 5_000, first(300))
    assert.strictEqual(seen.length, 0)
    bench.over(200, 100, first(300))
    assert.strictEqual(seen.length, 1)
  })

  it("the limit changes at the end of a window only", () => {
    const bench = new Bench()
    bench.window(first(300))
    const { current } = bench.limit
    bench.over(900, 500, first(3_000))
    assert.strictEqual(bench.limit.current, current)
  })

  it("one slow call changes nothing", () => {
    const calm = new Bench()
    const other = new Bench()
    for (let window = 0; window < 10; window++) {
      calm.window(first(300))
      let calls = 0
      other.window((limit, now, inFlight) => limit.firstToken(now, ++calls === 7 ? 60_000 : 300, inFlight))
      assert.strictEqual(other.limit.current, calm.limit.current)
    }
  })

  for (const [name, usual, slow] of [
    ["first tokens", first(300), first(900)],
    ["times between tokens", pace(16, 160), pace(16, 480)],
    ["whole answers, by the token", answer(100, 2_000), answer(100, 6_000)]
  ] as const) {
    it(`shrinks when ${name} become slow`, () => {
      const bench = new Bench()
      const before = bench.settle(usual)
      assert.isBelow(bench.window(slow), before * 0.7)
    })
  }

  it("total times say nothing: answers that are ten times as long are no slower", () => {
    const bench = new Bench()
    const before = bench.settle(answer(100, 2_000))
    assert.isAtLeast(bench.window(answer(1_000, 20_000)), before)
    const paced = new Bench()
    const started = paced.settle(pace(16, 160))
    assert.isAtLeast(paced.window(pace(160, 1_600)), started)
  })

  it("each signal has a baseline of its own, and the slowest of them counts", () => {
    const bench = new Bench()
    const mixed: Report = (limit, now, inFlight) => {
      limit.firstToken(now, 300, inFlight)
      limit.pace(now, 16, 160, inFlight)
      limit.answered(now, 10, 2_000, inFlight)
    }
    const before = bench.settle(mixed)
    assert.strictEqual(before, 100)
    const after = bench.window((limit, now, inFlight) => {
      limit.firstToken(now, 300, inFlight)
      limit.pace(now, 16, 480, inFlight)
      limit.answered(now, 10, 2_000, inFlight)
    })
    assert.isBelow(after, before * 0.7)
  })

  it("a signal with less than fifty reports waits for the next window", () => {
    const bench = new Bench()
    const before = bench.settle((limit, now, inFlight) => {
      limit.pace(now, 16, 160, inFlight)
      limit.firstToken(now, 300, inFlight)
    })
    // Thirty slow first tokens in one window and thirty in the next.
    const window = () => {
      let calls = 0
      return bench.window((limit, now, inFlight) => {
        if (++calls <= 30) limit.firstToken(now, 3_000, inFlight)
        limit.pace(now, 16, 160, inFlight)
      })
    }
    assert.isAtLeast(window(), before)
    assert.isBelow(window(), before)
  })

  it("shrinks by half at most in a window, and never below its floor", () => {
    const { bench } = recorded(() => 0)
    const limits = [1, 2, 3, 4, 5].map(() => bench.window(first(300)))
    assert.deepStrictEqual(limits, [10, 5, 4, 4, 4])
  })

  it("never grows above its ceiling", () => {
    const { bench } = recorded(() => 1e9)
    assert.strictEqual(bench.window(first(300)), 100)
  })

  it("does not grow while less than half of it is in use", () => {
    const bench = new Bench()
    for (let i = 0; i < 20; i++) bench.window(first(300), 9)
    assert.strictEqual(bench.limit.current, start)
    bench.window(first(300), 12)
    bench.window(first(300), 20)
    assert.isAbove(bench.limit.current, start)
  })

  /** A window in which so many of the calls are refused. */
  const withDrops = (count: number, calls = 50): Report =>
    (() => {
      let seen = 0
      return (limit, now, inFlight) => {
        if (seen++ % calls < count) limit.dropped(now, inFlight)
        else limit.firstToken(now, 300, inFlight)
      }
    })()

  it("a stray refusal changes nothing", () => {
    const bench = new Bench()
    const before = bench.settle(first(300))
    assert.strictEqual(bench.window(withDrops(1)), before)
    // Nor do two among many.
    bench.over(990, 500, withDrops(2, 500))
    assert.strictEqual(bench.window(first(300)), before)
  })

  it("more of them shrink it, once in a window however many they are", () => {
    for (const count of [3, 30, 50]) {
      const bench = new Bench()
      const before = bench.settle(first(300))
      assert.approximately(bench.window(withDrops(count)), before * 0.7, 1)
      assert.approximately(bench.window(withDrops(count)), before * 0.49, 1)
    }
  })

  it("it does not grow in a window with a refusal", () => {
    const bench = new Bench()
    for (let i = 0; i < 5; i++) bench.window(withDrops(1))
    assert.strictEqual(bench.limit.current, start)
    assert.isAbove(bench.window(first(300)), start)
  })

  it("where all calls are refused the windows end by them alone", () => {
    const bench = new Bench()
    for (let i = 0; i < 20; i++) bench.window(drop)
    assert.strictEqual(bench.limit.current, policy.minInFlight)
  })

  it("doubles until times are long for the first time, and never again", () => {
    const bench = new Bench(adaptive(policyOf({ minInFlight: 1, maxInFlight: 10_000 })))
    const limits = [1, 2, 3].map(() => bench.window(first(300)))
    assert.deepStrictEqual(limits, [200, 400, 800])
    bench.window(first(900))
    const { current } = bench.limit
    assert.isBelow(bench.window(first(300)), current * 1.5)
  })

  it("comes back when a brownout ends", () => {
    const bench = new Bench()
    const before = bench.settle(first(300))
    for (let i = 0; i < 3; i++) bench.window(first(3_000))
    assert.isBelow(bench.limit.current, before)
    for (let i = 0; i < 30; i++) bench.window(first(300))
    assert.strictEqual(bench.limit.current, before)
  })

  it("follows a provider that has become slower for good, whatever the calls in flight", () => {
    const bench = new Bench()
    const before = bench.settle(first(300))
    for (let i = 0; i < 60; i++) bench.window(first(900))
    assert.strictEqual(bench.limit.current, before)
  })

  it("an overload that lasts does not make it grow", () => {
    const bench = new Bench()
    // Twenty calls share the provider; more make it slower.
    const shared: Report = (limit, now, inFlight) => limit.firstToken(now, 300 * Math.max(1, inFlight / 20), inFlight)
    for (let i = 0; i < 30; i++) bench.window(shared)
    const soon = bench.limit.current
    assert.isAtMost(soon, 27)
    for (let i = 0; i < 3_000; i++) bench.window(shared)
    assert.approximately(bench.limit.current, soon, 3)
  })
})
