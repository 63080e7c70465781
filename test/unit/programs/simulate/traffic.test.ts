import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import * as Random from "../../../../src/layers/provider/sim/random.ts"
import * as Text from "../../../../src/layers/provider/sim/text.ts"
import * as Traffic from "../../../../src/programs/simulate/traffic.ts"
import { scenario } from "../../../support/scenario.ts"

const mean = (values: ReadonlyArray<number>) => values.reduce((sum, value) => sum + value, 0) / values.length
const deviation = (values: ReadonlyArray<number>) => {
  const middle = mean(values)
  return Math.sqrt(mean(values.map((value) => (value - middle) ** 2)))
}
const draws = (count: number, from: Parameters<typeof Traffic.draw>[1]) => {
  const random = Random.make(1, 2, 3)
  return Array.from({ length: count }, () => Traffic.draw(random, from))
}

describe("draw", () => {
  it("follows the distribution that is asked for", () => {
    assert.deepStrictEqual(draws(2, 7), [7, 7])
    assert.deepStrictEqual(draws(2, { kind: "fixed", value: 9 }), [9, 9])
    const exponential = draws(20_000, { kind: "exponential", mean: 50 })
    assert.closeTo(mean(exponential), 50, 1.5)
    assert.closeTo(deviation(exponential), 50, 2)
    const logNormal = draws(20_000, { kind: "lognormal", median: 50, sigma: 0.5 }).toSorted((a, b) => a - b)
    assert.closeTo(logNormal[10_000] ?? 0, 50, 1.5)
    assert.closeTo(deviation(logNormal.map(Math.log)), 0.5, 0.02)
  })

  it("is cut at min and max", () => {
    for (const value of draws(500, { kind: "exponential", mean: 50, min: 20, max: 80 })) {
      assert.isAtLeast(value, 20)
      assert.isAtMost(value, 80)
    }
  })
})

describe("gamma", () => {
  it("has mean 1 and the variance of its shape", () => {
    for (const shape of [0.05, 0.5, 1, 4, 50]) {
      const random = Random.make(4, 5, 6)
      const values = Array.from({ length: 60_000 }, () => Traffic.gamma(random, shape))
      assert.closeTo(mean(values), 1, 0.08, `mean of shape ${shape}`)
      assert.closeTo(deviation(values) ** 2 * shape, 1, 0.12, `variance of shape ${shape}`)
      assert.isAtLeast(Math.min(...values.slice(0, 1_000)), 0)
    }
  })
})

describe("arrivals", () => {
  const of = (seed: number, cv: number, ratePerS = 40, fromMs = 5_000, toMs = 305_000) =>
    Traffic.arrivals(Random.make(seed, 1, 1), { ratePerS, cv, fromMs, toMs })
  const gaps = (times: ReadonlyArray<number>) => times.slice(1).map((time, index) => time - (times[index] ?? 0))

  it("have the rate and the burstiness that are asked for", () => {
    for (const cv of [0, 0.5, 1, 3]) {
      const times = of(7, cv)
      assert.closeTo(times.length / 300, 40, 40 * 0.06 * Math.max(0.2, cv), `rate at cv ${cv}`)
      const spaces = gaps(times)
      assert.closeTo(deviation(spaces) / mean(spaces), cv, 0.02 + cv * 0.08, `cv ${cv}`)
    }
  })

  it("do not begin with a burst: the first second is as full as any other", () => {
    const first = Array.from({ length: 400 }, (_, seed) => of(seed, 3, 10, 0, 1_000).length)
    assert.closeTo(mean(first), 10, 2)
  })

  it("lie in their span, in order, whatever is asked for", () => {
    fc.assert(
      fc.property(
        fc.record({
          seed: fc.nat(),
          cv: fc.double({ min: 0, max: 8, noNaN: true }),
          ratePerS: fc.double({ min: 0, max: 50, noNaN: true }),
          fromMs: fc.nat(5_000),
          lengthMs: fc.nat(5_000)
        }),
        ({ cv, fromMs, lengthMs, ratePerS, seed }) => {
          const times = of(seed, cv, ratePerS, fromMs, fromMs + lengthMs)
          assert.deepStrictEqual(
            times,
            times.toSorted((a, b) => a - b)
          )
          for (const time of times) assert.isTrue(fromMs <= time && time < fromMs + lengthMs)
          assert.deepStrictEqual(of(seed, cv, ratePerS, fromMs, fromMs + lengthMs), times)
        }
      ),
      { numRuns: 50 }
    )
  })
})

const mixed = () =>
  scenario({
    durationS: 30,
    traffic: {
      tenants: [
        { name: "small", count: 3, ratePerS: 2, plan: "premium", feature: "search", critical: false },
        { name: "whale", ratePerS: 20, fromS: 10, toS: 20, cv: 3, patienceMs: 700, stream: true, maxTokens: 40 },
        { name: "batch", ratePerS: 1, priority: "background", inputTokens: 2_000 }
      ],
      inputTokens: { kind: "lognormal", median: 200, sigma: 0.5 },
      outputTokens: { kind: "exponential", mean: 50 },
      ttftMs: 100,
      perTokenMs: 10,
      patienceMs: 5_000
    }
  })

describe("make", () => {
  it("writes down visits in the order of their times, each with its tenant's ways", () => {
    const visits = Traffic.make(mixed(), 3)
    assert.deepStrictEqual(
      visits.map(({ atMs }) => atMs),
      visits.map(({ atMs }) => atMs).toSorted((a, b) => a - b)
    )
    assert.deepStrictEqual(
      visits.map(({ id }) => id),
      visits.map((_, index) => index)
    )
    const of = (tenant: string) => visits.filter(({ caller }) => caller.tenant === tenant)
    for (const name of ["small-1", "small-2", "small-3"]) {
      assert.isNotEmpty(of(name))
      assert.deepInclude(of(name)[0]?.caller, { plan: "premium", feature: "search", critical: false })
      assert.strictEqual(of(name)[0]?.patienceMs, 5_000)
    }
    assert.notDeepEqual(
      of("small-1").map(({ atMs }) => atMs),
      of("small-2").map(({ atMs }) => atMs)
    )
    for (const { atMs, chat, outputTokens, patienceMs } of of("whale")) {
      assert.isTrue(atMs >= 10_000 && atMs < 20_000)
      assert.deepInclude(chat, { stream: true, max_tokens: 40 })
      assert.strictEqual(patienceMs, 700)
      assert.isAtMost(outputTokens, 40)
    }
    assert.strictEqual(of("batch")[0]?.caller.priority, "background")
  })

  it("fixes the provider's times, and prompts have the length they say", () => {
    for (const { chat, inputTokens, outputTokens, serviceMs } of Traffic.make(mixed(), 3)) {
      assert.strictEqual(Text.promptOf(chat).tokens, inputTokens)
      assert.strictEqual(serviceMs, 100 + (outputTokens - 1) * 10)
      assert.deepInclude(chat["sim"], { ttftMs: 100, perTokenMs: 10 })
    }
  })

  it("is the same for a seed, and another for another; a tenant's visits do not hang on the others", () => {
    const first = Traffic.make(mixed(), 3)
    assert.deepStrictEqual(Traffic.make(mixed(), 3), first)
    assert.notDeepEqual(
      Traffic.make(mixed(), 4).map(({ atMs }) => atMs),
      first.map(({ atMs }) => atMs)
    )
    const all = mixed()
    const [small, , batch] = all.traffic.tenants
    if (batch === undefined) return assert.fail("three tenants")
    const without = { ...all, traffic: { ...all.traffic, tenants: [{ ...small }, { ...batch, ratePerS: 0 }] as const } }
    const timesOf = (visits: ReturnType<typeof Traffic.make>) =>
      visits.filter(({ caller }) => caller.tenant === "small-2").map(({ atMs, inputTokens }) => [atMs, inputTokens])
    assert.deepStrictEqual(timesOf(Traffic.make(without, 3)), timesOf(first))
  })

  it("knows which tenants belong together", () => {
    assert.deepStrictEqual(
      [...Traffic.groups(mixed())],
      [
        ["small-1", "small"],
        ["small-2", "small"],
        ["small-3", "small"],
        ["whale", "whale"],
        ["batch", "batch"]
      ]
    )
  })
})
