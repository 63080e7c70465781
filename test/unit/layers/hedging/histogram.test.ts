/** Quantiles of a window: right within the promised error, aged by the clock, and not fooled by calls that were given up. */
import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { accuracy, Histogram, longestMs } from "../../../../src/layers/hedging/histogram.ts"

const start = 1_700_000_000_000

const Ms = Schema.Finite.check(Schema.isBetween({ minimum: 1, maximum: longestMs }))
const Times = Schema.Array(Ms).check(Schema.isMinLength(1))
const Share = Schema.Finite.check(Schema.isBetween({ minimum: 0.01, maximum: 1 }))

const isNear = (actual: number | undefined, expected: number, what: string): void => {
  assert.isDefined(actual, what)
  assert.isAtLeast(actual ?? 0, expected - 1e-6, what)
  assert.isAtMost(actual ?? 0, expected * (1 + accuracy) + 1e-6, what)
}

/** The smallest time that a share `q` of them stay within. */
const quantileOf = (times: ReadonlyArray<number>, q: number): number => {
  const sorted = [...times].toSorted((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(q * sorted.length - 1e-9) - 1)] ?? 0
}

const of = (times: ReadonlyArray<number>, censored: ReadonlyArray<number> = []): Histogram => {
  const histogram = new Histogram(60_000)
  for (const ms of times) histogram.add(start, ms, false)
  for (const ms of censored) histogram.add(start, ms, true)
  return histogram
}

describe("a quantile", () => {
  it.prop("is that of the sorted times, within the promised error", [Times, Share], ([times, q]) => {
    isNear(of(times).quantile(q), quantileOf(times, q), `${q} of ${times.length}`)
  })

  it("of nothing, or of calls that were all given up, is unknown", () => {
    assert.isUndefined(new Histogram(1_000).quantile(0.5))
    assert.isUndefined(of([], [100, 200]).quantile(0.5))
  })

  it("of times below a millisecond is one, and beyond the longest the longest", () => {
    assert.strictEqual(of([0, 0.2, 1]).quantile(0.9), 1)
    isNear(of([10_000_000]).quantile(1), longestMs, "the longest")
  })
})

describe("a censored sample", () => {
  it.prop("never lowers a quantile, however short it was", [Times, Times, Share], ([times, censored, q]) => {
    const without = of(times).quantile(q) ?? 0
    const within = of(times, censored).quantile(q) ?? 0
    const longest = Math.max(...censored)
    // Where the longest of all were given up, as much as is known is how long they were.
    assert.isTrue(within >= without, `${within} < ${without}, ${longest} at most given up`)
  })

  it("weighs on the longer ones only", () => {
    // Of ten, one was given up at 150: it is one of those that take longer.
    const times = [100, 100, 100, 100, 200, 200, 200, 400, 400]
    isNear(of(times, [150]).quantile(0.4), 100, "four of ten")
    isNear(of(times, [150]).quantile(0.41), 200, "more than four of ten")
    // After 150 the five that are left stand for six: 0.6 x 2/5 = 0.24 are longer than 200.
    isNear(of(times, [150]).quantile(0.76), 200, "three of five are within 200")
    isNear(of(times, [150]).quantile(0.77), 400, "two of five are not")
  })

  it("keeps the quantile where slow calls are cut as soon as they are slow", () => {
    // A hundred calls, ten of them slow; what hedging sees of those is that they were cut at 500.
    const fast = Array.from({ length: 90 }, (_, i) => 100 + i)
    const slow = Array.from({ length: 10 }, () => 3_000)
    const cut = slow.map(() => 500)
    isNear(of(fast, cut).quantile(0.89), quantileOf([...fast, ...slow], 0.89), "below the cut")
    isNear(of(fast, cut).quantile(0.95), 500, "beyond it, at least as long as the cut")
    // Left out, or taken for what they show, they would make it 185 or so.
    assert.isBelow(of(fast).quantile(0.95) ?? 0, 200)
  })

  it("is not counted among those that were seen", () => {
    assert.strictEqual(of([1, 2, 3], [4, 5]).seen, 3)
  })
})

describe("the window", () => {
  const Steps = Schema.Array(
    Schema.Struct({
      afterMs: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 500 })),
      ms: Ms,
      censored: Schema.Boolean
    })
  )

  it.prop("holds all of the last eleven twelfths, and nothing older than itself", [Steps], ([steps]) => {
    const histogram = new Histogram(1_200)
    const seen: Array<number> = []
    let now = start
    for (const { afterMs, censored, ms } of steps) {
      now += afterMs
      histogram.add(now, ms, censored)
      if (!censored) seen.push(now)
      assert.isAtLeast(histogram.seen, seen.filter((at) => at > now - 1_100).length)
      assert.isAtMost(histogram.seen, seen.filter((at) => at > now - 1_200).length)
    }
  })

  it("is as if only its own samples had ever been there", () => {
    const histogram = new Histogram(12_000)
    for (let i = 0; i < 100; i++) histogram.add(start + i * 20, 5_000, i % 3 === 0)
    for (let i = 0; i < 100; i++) histogram.add(start + 13_000 + i * 10, 100 + i, false)
    assert.strictEqual(histogram.seen, 100)
    isNear(histogram.quantile(1), 199, "the slow ones are forgotten")
  })

  it("is aged by the clock when it is read, whole quiet windows too", () => {
    const histogram = of([100, 200, 300])
    assert.isFalse(histogram.advance(start))
    assert.isTrue(histogram.advance(start + 30_000))
    assert.strictEqual(histogram.seen, 3)
    histogram.advance(start + 60_000)
    assert.strictEqual(histogram.seen, 0)
    histogram.add(start + 3_600_000, 50, false)
    isNear(histogram.quantile(1), 50, "the only one")
  })

  it("begins again when the clock is set back", () => {
    const histogram = of([100, 200, 300])
    assert.isTrue(histogram.advance(start - 3_600_000))
    assert.strictEqual(histogram.seen, 0)
    histogram.add(start - 3_600_000, 70, false)
    isNear(histogram.quantile(0.5), 70, "the only one")
  })
})
